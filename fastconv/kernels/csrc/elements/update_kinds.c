/* update_kinds.c: steps of any kind of optimizer, in place, Keras' formulas, with all that goes around them. One tile is a
 * piece of one parameter.
 *
 * Not here: the plain steps of SGD and Adam (update.c), which most programs take. One loop serves all kinds, so that each
 * costs a few instructions of every instruction set's code. */
#include "functions.h"

/* What a tile of update_step works on: the parameter, its gradient, its states and its average. */
enum { P, G, A, B, C, AVERAGE, ARRAYS };

/* Not inline, like move: once in an object is enough. */
static __attribute__((noinline)) vec power(vec x, real exponent)
{
    if (exponent == (real)0.5) return sqrt_vec(x);
    FC_UNROLL(1)
    for (int i = 0; i < LANES; i++)
        x[i] = FC_DOUBLE ? (real)pow(x[i], exponent) : (real)powf((float)x[i], (float)exponent);
    return x;
}

/* m += (g - m) * share, which is also returned. */
static inline vec drift(real *m, vec g, real share)
{
    const vec old = load(m), new = old + (g - old) * share;
    store(m, new);
    return new;
}

/* m = keep * m + share * g, which is also returned. */
static inline vec fade(real *m, vec g, real keep, real share)
{
    const vec new = keep * load(m) + share * g;
    store(m, new);
    return new;
}

/* The new parameter w of one vector; a, b and c are its states there, NULL for one that is not kept. What `number` holds
 * stands at each kind. */
static inline vec moved(const fc_update *j, vec w, vec g, real *a, real *b, real *c)
{
    const real rate = (real)j->rate, n0 = (real)j->number[0], n1 = (real)j->number[1], n2 = (real)j->number[2];
    const real n3 = (real)j->number[3], n4 = (real)j->number[4], n5 = (real)j->number[5];
    vec x, y;
    switch (j->kind) {
    case FC_UPDATE_sgd: /* momentum; a: velocity, or NULL */
        if (!a) return w - rate * g;
        x = fade(a, g, n0, -rate);
        if (j->nesterov) x = n0 * x - rate * g;
        return w + x;
    case FC_UPDATE_adam: /* 1 - beta_1, 1 - beta_2, epsilon; c: the largest second moment, or NULL */
        x = drift(a, g, n0), y = drift(b, g * g, n1);
        if (c) store(c, y = select(load(c) > y, load(c), y));
        return w - rate * x / (sqrt_vec(y) + n2);
    case FC_UPDATE_rmsprop: /* rho, 1 - rho, epsilon, momentum; b: momentum, c: mean gradient, or NULL */
        y = fade(a, g * g, n0, n1);
        if (c) x = fade(c, g, n0, n1), y -= x * x;
        x = rate * g / sqrt_vec(y + n2);
        return w - (b ? fade(b, x, n3, 1) : x);
    case FC_UPDATE_adagrad: /* epsilon */ return w - rate * g / sqrt_vec(fade(a, g * g, 1, 1) + n0);
    case FC_UPDATE_adadelta: /* rho, 1 - rho, epsilon */
        y = fade(a, g * g, n0, n1);
        x = sqrt_vec(load(b) + n2) * g / sqrt_vec(y + n2);
        fade(b, x * x, n0, n1);
        return w - rate * x;
    case FC_UPDATE_adamax: /* 1 - beta_1, beta_2, epsilon; b: a fading maximum */
        x = drift(a, g, n0), y = n1 * load(b);
        y = select(y > abs_vec(g), y, abs_vec(g));
        store(b, y);
        return w - rate * x / (y + n2);
    case FC_UPDATE_nadam: /* 1 - beta_1, 1 - beta_2, epsilon; factors of the mean gradient, of the gradient, of b */
        x = drift(a, g, n0), y = drift(b, g * g, n1);
        return w - (n3 * x + n4 * g) / (sqrt_vec(n5 * y) + n2);
    case FC_UPDATE_lion: /* beta_1, 1 - beta_1, beta_2, 1 - beta_2; 0 and NaN are their own signs */
        x = n0 * load(a) + n1 * g;
        fade(a, g, n2, n3);
        return w - rate * select(x > 0, splat(1), select(x < 0, splat(-1), x));
    case FC_UPDATE_ftrl: /* minus the rate's power, l2 with beta, l1, twice the shrinkage; b: the linear term */
        y = load(a);
        x = fade(a, g * g, 1, 1);
        x = power(x, n0), y = power(y, n0);
        y = load(b) + (g + n3 * w - (x - y) / rate * w);
        store(b, y);
        return (at_least(at_most(y, n2), -n2) - y) / (x / rate + 2 * n1);
    default: return w;
    }
}

static __attribute__((noinline)) void move(const fc_update *j, real scale, real decay, real *const at[ARRAYS], ptrdiff_t vectors)
{
    const real limit = (real)j->limit, keep = (real)j->keep;
    for (ptrdiff_t i = 0; i < vectors * LANES; i += LANES) {
        vec w = load(at[P] + i), g = load(at[G] + i) * scale;
        if (limit > 0) g = at_most(at_least(g, -limit), limit);
        if (decay != 0) w -= w * decay;
        w = moved(j, w, g, at[A] ? at[A] + i : NULL, at[B] ? at[B] + i : NULL, at[C] ? at[C] + i : NULL);
        store(at[P] + i, w);
        if (at[AVERAGE]) fade(at[AVERAGE] + i, w, keep, 1 - keep);
    }
}

/* The gradient scaled and cut, decay of the parameter, the step, its average: the last elements in vectors of their own. */
void FC_NAME(update_step)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_update *j = job;
    void **const tables[ARRAYS] = {j->parameter, j->gradient, j->state[0], j->state[1], j->state[2], j->average};
    const real scale = j->scale ? (real)j->scale[tile] : 1, decay = j->decay ? (real)j->decay[tile] : 0;
    const ptrdiff_t vectors = j->count[tile] / LANES, rest = j->count[tile] % LANES;
    real last[ARRAYS][LANES] = {0}, *at[ARRAYS], *ends[ARRAYS];
    for (int k = 0; k < ARRAYS; k++) at[k] = tables[k] ? tables[k][tile] : NULL;
    move(j, scale, decay, at, vectors);
    if (!rest) return;
    for (int k = 0; k < ARRAYS; k++) {
        ends[k] = at[k] ? last[k] : NULL;
        if (at[k]) copy_few(at[k] + vectors * LANES, last[k], rest);
    }
    move(j, scale, decay, ends, 1);
    for (int k = 0; k < ARRAYS; k++)
        if (at[k] && k != G) copy_few(last[k], at[k] + vectors * LANES, rest);
}
