/* maps.c: functions of one element and their gradients, one vector at a time over contiguous arrays; the functions are
 * the rows of maps.h.
 *
 * A vector is read before it is written, so that the result may take an operand's place.
 */
#include "maps.h"
#include "far.h"
#include "functions.h"

#define SELU ((real)1.05070098735548049342)
#define SELU_ALPHA ((real)1.75809934084737685994)
#define SIXTH ((real)(1.0 / 6))

/* Between these limits, past which the gradients of silu and gelu are 0 or 1 to the last place. */
FC_INLINE vec within(vec x, real limit) { return at_most(at_least(x, -limit), limit); }

FC_INLINE vec softsign_forward(vec x)
{
    const vec size = abs_vec(x), one = with_sign(splat(1), x);
    return select(size > splat((real)1e30), one, x / (1 + size));
}

FC_INLINE vec silu_slope(vec x)
{
    vec rest;
    const vec y = logistic_vec(x, &rest);
    return y * (1 + within(x, 800) * rest);
}

/* The normal distribution's integral up to x. */
FC_INLINE vec normal_cdf(vec x) { return (real)0.5 + (real)0.5 * erf_vec(x * (real)M_SQRT1_2); }

FC_INLINE vec gelu_slope(vec x)
{
    const vec near = within(x, 40);
    return normal_cdf(x) + near * exp_vec(near * near * (real)-0.5) * (real)(M_2_SQRTPI * M_SQRT1_2 / 2);
}

/* Its approximation (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2. */
#define CUBIC_1 ((real)(2 * M_2_SQRTPI * M_SQRT1_2))
#define CUBIC_3 ((real)(2 * M_2_SQRTPI * M_SQRT1_2 * 0.044715))
FC_INLINE vec tanh_cdf(vec x, vec *rest) { return logistic_vec(x * (CUBIC_1 + CUBIC_3 * x * x), rest); }

FC_INLINE vec gelu_tanh_slope(vec x)
{
    const vec near = within(x, 40);
    vec rest;
    const vec y = tanh_cdf(x, &rest);
    return y * (1 + near * rest * (CUBIC_1 + 3 * CUBIC_3 * near * near));
}

FC_INLINE vec hard_logistic(vec x) { return at_most(at_least(x * SIXTH + (real)0.5, 0), 1); }

/* With e = exp(x): tanh(log(1 + e)) = m / (m + 2), where m = e * (e + 2). It is 1 to the last place from 40 on. */
FC_INLINE vec mish_forward(vec x)
{
    const vec e = exp_vec(at_most(x, 40)), m = e * (e + 2);
    return at_least(x, -800) * (m / (m + 2));
}

FC_INLINE vec mish_slope(vec x)
{
    const vec near = within(x, 40), e = exp_vec(near), m = e * (e + 2);
    return (m + near * (4 * e * (e + 1) / (m + 2))) / (m + 2);
}

/* What rounding takes from 1 + x is put back by a factor. */
FC_INLINE vec log1p_forward(vec x)
{
    const vec u = 1 + x, y = log_vec(u);
    return select((u == 1) | (x == splat((real)INFINITY)), x, y * (x / select(x == -1, splat(-1), u - 1)));
}

/* Over whole vectors, so that nothing but the function is in the loop. */
typedef void map_function(const real *dy, const real *s, real *y, ptrdiff_t count, real a, real b);

#define MAP(name, saved, parameters, forward, backward)                                                         \
    static void name##_forward_map(const real *dy, const real *s, real *to, ptrdiff_t count, real a, real b)    \
    {                                                                                                           \
        (void)dy, (void)a, (void)b;                                                                             \
        for (ptrdiff_t i = 0; i < count; i += LANES) {                                                          \
            const vec x = load(s + i);                                                                          \
            store(to + i, forward);                                                                             \
        }                                                                                                       \
    }                                                                                                           \
    static void name##_backward_map(const real *from, const real *s, real *to, ptrdiff_t count, real a, real b) \
    {                                                                                                           \
        (void)a, (void)b;                                                                                       \
        for (ptrdiff_t i = 0; i < count; i += LANES) {                                                          \
            const vec dy = load(from + i), x = saved == FC_NOTHING ? dy : load(s + i), y = x;                   \
            (void)y;                                                                                            \
            store(to + i, backward);                                                                            \
        }                                                                                                       \
    }
FC_MAPS(MAP)

#define ROW(name, ...) {name##_forward_map, name##_backward_map},
static map_function *const functions[][2] = {FC_MAPS(ROW)};

void FC_NAME(map_vectors)(int function, const real *dy, const real *s, real *y, ptrdiff_t count)
{
    if (function >= 0)
        functions[function][dy != NULL](dy, s, y, count, INFINITY, 0);
    else
        memmove(y, dy ? dy : s, count * sizeof(real));
}

void FC_NAME(map_rows)(const fc_finish *finish, real *y, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t count)
{
    map_function *f = functions[finish->map - 1][0];
    const real a = (real)finish->a, b = (real)finish->b;
    if (step == count) count *= rows, rows = 1;
    const ptrdiff_t whole = count / LANES * LANES;
    for (ptrdiff_t r = 0; r < rows; r++, y += step) {
        f(NULL, y, y, whole, a, b);
        if (whole == count) continue;
        real rest[LANES] = {0};
        memcpy(rest, y + whole, (count - whole) * sizeof(real));
        f(NULL, rest, rest, LANES, a, b);
        memcpy(y + whole, rest, (count - whole) * sizeof(real));
    }
}

/* Values on their way past the caches. */
ptrdiff_t FC_NAME(map_size)(const void *job)
{
    const fc_map *j = job;
    return j->far ? FC_ROOM * sizeof(real) : 0;
}

void FC_NAME(map)(const void *job, ptrdiff_t tile, void *scratch)
{
    enum { DY, S, Y };
    const fc_map *j = job;
    const ptrdiff_t first = tile * j->block, count = min_(j->count - first, j->block), whole = count / LANES * LANES;
    const real *dy = j->dy ? (const real *)j->dy + first : NULL, *s = j->s ? (const real *)j->s + first : NULL;
    real *y = (real *)j->y + first;
    map_function *f = functions[j->function][dy != NULL];
    const real a = (real)j->a, b = (real)j->b;
    const ptrdiff_t step = j->far ? FC_ROOM : j->block;
    for (ptrdiff_t i = 0; i < whole; i += step) {
        const ptrdiff_t part = min_(whole - i, step);
        f(dy ? dy + i : NULL, s ? s + i : NULL, j->far ? scratch : y + i, part, a, b);
        if (j->far) store_all_far(y + i, scratch, part);
    }
    if (whole < count) {
        real rest[3][LANES] = {{0}};
        const size_t size = (count - whole) * sizeof(real);
        if (dy) memcpy(rest[DY], dy + whole, size);
        if (s) memcpy(rest[S], s + whole, size);
        f(rest[DY], rest[S], rest[Y], LANES, a, b);
        memcpy(y + whole, rest[Y], size);
    }
    if (j->far) far_done();
}
