/* update.c: optimizer steps, in place, Keras' formulas. One tile is a piece of one parameter. */
#include "vector.h"

#include <math.h>

/* velocity = momentum * velocity - rate * gradient; Nesterov looks one step of momentum ahead. */
void FC_NAME(sgd_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_update *j = job;
    const real rate = (real)j->rate, momentum = (real)j->momentum;
    const ptrdiff_t count = j->count[tile];
    real *restrict p = j->parameter[tile];
    const real *restrict g = j->gradient[tile];
    if (!j->first) {
        for (ptrdiff_t i = 0; i < count; i++) p[i] -= rate * g[i];
        return;
    }
    real *restrict v = j->first[tile];
    if (j->nesterov)
        for (ptrdiff_t i = 0; i < count; i++) {
            v[i] = momentum * v[i] - rate * g[i];
            p[i] += momentum * v[i] - rate * g[i];
        }
    else
        for (ptrdiff_t i = 0; i < count; i++) p[i] += v[i] = momentum * v[i] - rate * g[i];
}

/* `rate` arrives with the bias correction of this step in it. */
void FC_NAME(adam_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_update *j = job;
    const real rate = (real)j->rate, epsilon = (real)j->epsilon;
    const real keep_1 = (real)(1 - j->beta_1), keep_2 = (real)(1 - j->beta_2);
    const ptrdiff_t count = j->count[tile];
    real *restrict p = j->parameter[tile], *restrict m = j->first[tile], *restrict v = j->second[tile];
    const real *restrict g = j->gradient[tile];
    for (ptrdiff_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * keep_1;
        v[i] += (g[i] * g[i] - v[i]) * keep_2;
#if FC_DOUBLE
        p[i] -= rate * m[i] / (sqrt(v[i]) + epsilon);
#else
        p[i] -= rate * m[i] / (sqrtf(v[i]) + epsilon);
#endif
    }
}
