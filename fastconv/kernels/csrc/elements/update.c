/* update.c: optimizer steps, in place, Keras' formulas. One tile is a piece of one parameter. */
#include "vector.h"

#include <math.h>

#if FC_DOUBLE
#define ROOT sqrt
#define POWER pow
#else
#define ROOT sqrtf
#define POWER powf
#endif
#define EACH(body)                      \
    for (ptrdiff_t i = 0; i < n; i++) { \
        body;                           \
    }
#define NUMBER(place) ((real)j->number[place])

/* velocity = momentum * velocity - rate * gradient; Nesterov looks one step of momentum ahead. number: momentum.
 * States: velocity, or none. */
static void sgd(const fc_update *j, real *restrict p, const real *restrict g, real *restrict v, ptrdiff_t n)
{
    const real rate = (real)j->rate, momentum = NUMBER(0);
    if (!v)
        EACH(p[i] -= rate * g[i])
    else if (j->nesterov)
        EACH(v[i] = momentum * v[i] - rate * g[i]; p[i] += momentum * v[i] - rate * g[i])
    else
        EACH(p[i] += v[i] = momentum * v[i] - rate * g[i])
}

/* `rate` arrives with the bias correction of this step in it. number: 1 - beta_1, 1 - beta_2, epsilon. States: the
 * moments. */
static void adam(const fc_update *j, real *restrict p, const real *restrict g, real *restrict m, real *restrict v,
                 ptrdiff_t n)
{
    const real rate = (real)j->rate, keep_1 = NUMBER(0), keep_2 = NUMBER(1), epsilon = NUMBER(2);
    EACH(m[i] += (g[i] - m[i]) * keep_1; v[i] += (g[i] * g[i] - v[i]) * keep_2;
         p[i] -= rate * m[i] / (ROOT(v[i]) + epsilon))
}

/* The same with the largest second moment so far, a third state. */
static void amsgrad(const fc_update *j, real *restrict p, const real *restrict g, real *restrict m, real *restrict v,
                    real *restrict most, ptrdiff_t n)
{
    const real rate = (real)j->rate, keep_1 = NUMBER(0), keep_2 = NUMBER(1), epsilon = NUMBER(2);
    EACH(m[i] += (g[i] - m[i]) * keep_1; v[i] += (g[i] * g[i] - v[i]) * keep_2;
         most[i] = most[i] > v[i] ? most[i] : v[i]; p[i] -= rate * m[i] / (ROOT(most[i]) + epsilon))
}

/* number: rho, 1 - rho, epsilon, momentum. States: the mean square; the momentum and the mean gradient, or NULL. */
static void rmsprop(const fc_update *j, real *restrict p, const real *restrict g, real *restrict v, real *restrict m,
                    real *restrict mean, real *restrict step, ptrdiff_t n)
{
    const real rate = (real)j->rate, rho = NUMBER(0), rest = NUMBER(1), epsilon = NUMBER(2), momentum = NUMBER(3);
    EACH(v[i] = rho * v[i] + rest * g[i] * g[i]; step[i] = v[i])
    if (mean) EACH(mean[i] = rho * mean[i] + rest * g[i]; step[i] -= mean[i] * mean[i])
    EACH(step[i] = rate * g[i] / ROOT(step[i] + epsilon))
    if (m) EACH(step[i] = m[i] = momentum * m[i] + step[i])
    EACH(p[i] -= step[i])
}

/* number: epsilon. State: the sum of squares. */
static void adagrad(const fc_update *j, real *restrict p, const real *restrict g, real *restrict sum, ptrdiff_t n)
{
    const real rate = (real)j->rate, epsilon = NUMBER(0);
    EACH(sum[i] += g[i] * g[i]; p[i] -= rate * g[i] / ROOT(sum[i] + epsilon))
}

/* number: rho, 1 - rho, epsilon. States: the mean squares of gradients and of steps. */
static void adadelta(const fc_update *j, real *restrict p, const real *restrict g, real *restrict v, real *restrict d,
                     ptrdiff_t n)
{
    const real rate = (real)j->rate, rho = NUMBER(0), rest = NUMBER(1), epsilon = NUMBER(2);
    EACH(v[i] = rho * v[i] + rest * g[i] * g[i]; const real step = ROOT(d[i] + epsilon) * g[i] / ROOT(v[i] + epsilon);
         d[i] = rho * d[i] + rest * step * step; p[i] -= rate * step)
}

/* `rate` arrives with the bias correction in it. number: 1 - beta_1, beta_2, epsilon. States: the mean gradient and the
 * fading maximum. */
static void adamax(const fc_update *j, real *restrict p, const real *restrict g, real *restrict m, real *restrict u,
                   ptrdiff_t n)
{
    const real rate = (real)j->rate, keep = NUMBER(0), fade = NUMBER(1), epsilon = NUMBER(2);
    EACH(m[i] += (g[i] - m[i]) * keep; const real size = g[i] < 0 ? -g[i] : g[i]; const real old = fade * u[i];
         u[i] = old > size ? old : size; p[i] -= rate * m[i] / (u[i] + epsilon))
}

/* number: 1 - beta_1, 1 - beta_2, epsilon, the mean gradient's factor, the gradient's, that of the mean square. States:
 * the moments. */
static void nadam(const fc_update *j, real *restrict p, const real *restrict g, real *restrict m, real *restrict v,
                  ptrdiff_t n)
{
    const real keep_1 = NUMBER(0), keep_2 = NUMBER(1), epsilon = NUMBER(2);
    const real mean = NUMBER(3), now = NUMBER(4), square = NUMBER(5);
    EACH(m[i] += (g[i] - m[i]) * keep_1; v[i] += (g[i] * g[i] - v[i]) * keep_2;
         p[i] -= (mean * m[i] + now * g[i]) / (ROOT(square * v[i]) + epsilon))
}

/* number: beta_1, 1 - beta_1, beta_2, 1 - beta_2. State: the mean gradient. NaN stays NaN. */
static void lion(const fc_update *j, real *restrict p, const real *restrict g, real *restrict m, ptrdiff_t n)
{
    const real rate = (real)j->rate, a = NUMBER(0), b = NUMBER(1), c = NUMBER(2), d = NUMBER(3);
    EACH(const real mix = m[i] * a + g[i] * b; const real sign = mix > 0   ? 1
                                                                 : mix < 0 ? -1
                                                                           : mix;
         p[i] -= rate * sign; m[i] = m[i] * c + g[i] * d)
}

static real power(real x, real exponent) { return exponent == (real)0.5 ? ROOT(x) : POWER(x, exponent); }

/* number: minus the power of the rate, l2 with beta, l1, twice the shrinkage. States: the sum of squares, the linear term. */
static void ftrl(const fc_update *j, real *restrict p, const real *restrict g, real *restrict sum, real *restrict line,
                 ptrdiff_t n)
{
    const real rate = (real)j->rate, e = NUMBER(0), l2 = NUMBER(1), l1 = NUMBER(2), shrink = NUMBER(3);
    EACH(const real total = sum[i] + g[i] * g[i]; const real grown = power(total, e);
         line[i] += g[i] + shrink * p[i] - (grown - power(sum[i], e)) / rate * p[i];
         const real cut = line[i] > l1    ? l1
                          : line[i] < -l1 ? -l1
                                          : line[i];
         p[i] = (cut - line[i]) / (grown / rate + 2 * l2); sum[i] = total)
}

void FC_NAME(sgd_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_update *j = job;
    sgd(j, j->parameter[tile], j->gradient[tile], j->state[0] ? j->state[0][tile] : NULL, j->count[tile]);
}

void FC_NAME(adam_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_update *j = job;
    adam(j, j->parameter[tile], j->gradient[tile], j->state[0][tile], j->state[1][tile], j->count[tile]);
}

static real *from(void **table, ptrdiff_t tile, ptrdiff_t start) { return table ? (real *)table[tile] + start : NULL; }

/* In pieces that stay in the first cache: the gradient scaled and cut, decay of the parameter, the step, its average. */
void FC_NAME(update_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_update *j = job;
    real *restrict cut = scratch, *step = cut + FC_UPDATE_PIECE;
    const real scale = j->scale ? (real)j->scale[tile] : 1, limit = (real)j->limit;
    const real decay = j->decay ? (real)j->decay[tile] : 0;
    const real keep = (real)j->keep, rest = (real)(1 - j->keep);
    for (ptrdiff_t start = 0; start < j->count[tile]; start += FC_UPDATE_PIECE) {
        const ptrdiff_t left = j->count[tile] - start, n = left < FC_UPDATE_PIECE ? left : FC_UPDATE_PIECE;
        real *p = from(j->parameter, tile, start), *a = from(j->state[0], tile, start);
        real *b = from(j->state[1], tile, start), *c = from(j->state[2], tile, start);
        const real *g = from(j->gradient, tile, start);
        if (scale != 1 || limit > 0) {
            const real most = limit > 0 ? limit : (real)INFINITY;
            EACH(const real x = scale * g[i]; cut[i] = x > most ? most : x < -most ? -most : x)
            g = cut;
        }
        if (decay != 0) EACH(p[i] -= p[i] * decay)
        switch (j->kind) {
        case FC_UPDATE_sgd: sgd(j, p, g, a, n); break;
        case FC_UPDATE_adam: c ? amsgrad(j, p, g, a, b, c, n) : adam(j, p, g, a, b, n); break;
        case FC_UPDATE_rmsprop: rmsprop(j, p, g, a, b, c, step, n); break;
        case FC_UPDATE_adagrad: adagrad(j, p, g, a, n); break;
        case FC_UPDATE_adadelta: adadelta(j, p, g, a, b, n); break;
        case FC_UPDATE_adamax: adamax(j, p, g, a, b, n); break;
        case FC_UPDATE_nadam: nadam(j, p, g, a, b, n); break;
        case FC_UPDATE_lion: lion(j, p, g, a, n); break;
        case FC_UPDATE_ftrl: ftrl(j, p, g, a, b, n); break;
        }
        real *restrict average = from(j->average, tile, start);
        if (average) EACH(average[i] = keep * average[i] + rest * p[i])
    }
}
