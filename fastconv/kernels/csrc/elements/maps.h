/* maps.h: every function of one element that the kernels know, and every function of two, those of gradients included.
 *
 * A row of FC_MAPS is name, what the gradient reads (the input x, the output y or nothing), number of parameters (a, b),
 * y from x, and dx from dy and that. A row of FC_COMBINES is name and y from a and b. The formulas are in vectors and
 * mean something in maps.c and combine.c only; the other columns are data for the bindings and, through them, Python.
 * NaN stays NaN, infinities give the limits and nothing overflows on the way.
 */
#ifndef FC_MAPS_H
#define FC_MAPS_H

enum { FC_NOTHING, FC_INPUT, FC_OUTPUT };

/* clang-format off */
#define FC_MAPS(X)                                                                                                   \
    X(negative, FC_NOTHING, 0, -x, -dy)                                                                              \
    X(abs, FC_INPUT, 0, abs_vec(x), select(x > 0, dy, select(x < 0, -dy, dy * x)))                                   \
    X(square, FC_INPUT, 0, x * x, dy * x * 2)                                                                        \
    X(sqrt, FC_OUTPUT, 0, sqrt_vec(x), dy / (y + y))                                                                 \
    X(rsqrt, FC_OUTPUT, 0, 1 / sqrt_vec(x), dy * y * y * y * (real)-0.5)                                             \
    X(reciprocal, FC_OUTPUT, 0, 1 / x, -(dy * y) * y)                                                                \
    X(exp, FC_OUTPUT, 0, exp_vec(x), dy * y)                                                                         \
    X(log, FC_INPUT, 0, log_vec(x), dy / x)                                                                          \
    X(erf, FC_INPUT, 0, erf_vec(x), dy * (real)M_2_SQRTPI * exp_vec(-x * x))                                         \
    X(clip, FC_INPUT, 2, at_most(at_least(x, a), b), select((x < a) | (x > b), splat(0), dy))                        \
    X(sigmoid, FC_OUTPUT, 0, logistic_share(x, splat(1)), dy * (y * (1 - y)))                                              \
    X(tanh, FC_OUTPUT, 0, tanh_vec(x), dy * (1 - y * y))                                                             \
    X(elu, FC_OUTPUT, 1, select(x > 0, x, a * expm1_vec(x)), select(y > 0, dy, dy * (y + a)))                        \
    X(leaky_relu, FC_OUTPUT, 1, select(x > 0, x, a * x), select(y > 0, dy, a * dy))                                  \
    X(clipped_relu, FC_OUTPUT, 1, at_most(at_least(x, 0), a), select((y <= 0) | (y >= a), splat(0), dy))             \
    X(selu, FC_OUTPUT, 0, select(x > 0, SELU * x, SELU_ALPHA * expm1_vec(x)),                                        \
      select(y > 0, SELU * dy, dy * (y + SELU_ALPHA)))                                                               \
    X(softplus, FC_OUTPUT, 0, softplus_vec(x), dy * -expm1_vec(-y))                                                  \
    X(softsign, FC_INPUT, 0, softsign_forward(x), dy / (1 + abs_vec(x)) / (1 + abs_vec(x)))                          \
    X(silu, FC_INPUT, 0, logistic_share(x, at_least(x, -800)), dy * silu_slope(x))                              \
    X(gelu, FC_INPUT, 0, at_least(x, -40) * normal_cdf(x), dy * gelu_slope(x))                                       \
    X(gelu_tanh, FC_INPUT, 0, at_least(x, -40) * tanh_cdf(x, NULL), dy * gelu_tanh_slope(x))                         \
    X(hard_sigmoid, FC_OUTPUT, 0, hard_logistic(x), select((y <= 0) | (y >= 1), splat(0), dy * SIXTH))               \
    X(hard_silu, FC_INPUT, 0, at_least(x, -3) * hard_logistic(x),                                                    \
      select(x <= -3, splat(0), select(x >= 3, dy, dy * (x * (2 * SIXTH) + (real)0.5))))                             \
    X(mish, FC_INPUT, 0, mish_forward(x), dy * mish_slope(x))                                                        \
    X(log1p, FC_INPUT, 0, log1p_forward(x), dy / (1 + x))                                                            \
    X(expm1, FC_OUTPUT, 0, select(x > 60, exp_vec(x), expm1_vec(at_most(x, 60))), dy * (y + 1))                      \
    X(threshold, FC_INPUT, 2, select(x <= a, splat(b), x), select(x <= a, splat(0), dy))                             \
    X(linear, FC_NOTHING, 2, x * a + b, dy * a)                                                                      \
    X(hard_shrink, FC_INPUT, 1, select(abs_vec(x) <= a, splat(0), x), select(abs_vec(x) <= a, splat(0), dy))
/* clang-format on */

/* `share` is the part of the gradient of a maximum or minimum that goes to a; `gate` passes a gradient's share on, and
 * `gate_rest` what is left of it, without touching one by 0. `prelu_slope` is 0 at 0, as ReLU's. `winner` is 1 where a is the extremum b, or NaN, else 0. */
/* clang-format off */
#define FC_COMBINES(X)                                                                                               \
    X(add, a + b)                                                                                                    \
    X(subtract, a - b)                                                                                               \
    X(multiply, a * b)                                                                                               \
    X(divide, a / b)                                                                                                 \
    X(maximum, select((a > b) | (a != a), a, b))                                                                     \
    X(minimum, select((a < b) | (a != a), a, b))                                                                     \
    X(add_relu, select(a + b <= 0, splat(0), a + b))                                                                 \
    X(negative_product, -a * b)                                                                                      \
    X(maximum_share, select((a > b) | (a != a), splat(1), select(a == b, splat((real)0.5), splat(0))))               \
    X(minimum_share, select((a < b) | (a != a), splat(1), select(a == b, splat((real)0.5), splat(0))))               \
    X(gate, select(b == 0, splat(0), a * b))                                                                         \
    X(gate_rest, select(b == 1, splat(0), a * (1 - b)))                                                              \
    X(prelu, select(a > 0, a, a * b))                                                                                \
    X(prelu_slope, select(a > 0, splat(1), select(a < 0, b, a)))                                                     \
    X(winner, select((a == b) | (a != a), splat(1), splat(0)))
/* clang-format on */

#define FC_MAP_NUMBER(name, ...) FC_MAP_##name,
enum { FC_MAPS(FC_MAP_NUMBER) FC_MAP_COUNT };
#define FC_COMBINE_NUMBER(name, ...) FC_COMBINE_##name,
enum { FC_COMBINES(FC_COMBINE_NUMBER) FC_COMBINE_COUNT };

/* `products`: the sum of x * b. */
enum { FC_REDUCE_sum, FC_REDUCE_products, FC_REDUCE_max, FC_REDUCE_min };

#endif
