/* update.c: optimizer steps, in place, Keras' formulas. One tile is a piece of one parameter. */
#include "functions.h"

/* velocity = momentum * velocity - rate * gradient; Nesterov looks one step of momentum ahead. */
void FC_NAME(sgd_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_update *j = job;
    const real rate = (real)j->rate, momentum = (real)j->number[0];
    const ptrdiff_t count = j->count[tile];
    real *restrict p = j->parameter[tile];
    const real *restrict g = j->gradient[tile];
    if (!j->state[0]) {
        for (ptrdiff_t i = 0; i < count; i++) p[i] -= rate * g[i];
        return;
    }
    real *restrict v = j->state[0][tile];
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
    const real rate = (real)j->rate, keep_1 = (real)j->number[0], keep_2 = (real)j->number[1];
    const real epsilon = (real)j->number[2];
    const ptrdiff_t count = j->count[tile];
    real *restrict p = j->parameter[tile], *restrict m = j->state[0][tile], *restrict v = j->state[1][tile];
    const real *restrict g = j->gradient[tile];
    for (ptrdiff_t i = 0; i < count; i++) {
        m[i] += (g[i] - m[i]) * keep_1;
        v[i] += (g[i] * g[i] - v[i]) * keep_2;
        p[i] -= rate * m[i] / (SQRT(v[i]) + epsilon);
    }
}
