/* functions.h: functions of a vector, float or double, of which the activations are made: log, tanh, erf, the logistic
 * function and their like.
 *
 * Not here: exp (exp.h), and the activations with their gradients (maps.h). Contract: within 4 units in the last place,
 * tanh and, of float, erf within 6, over the whole range of the type, denormals included; NaN stays NaN, infinities give
 * the limits, nothing overflows on the way.
 */
#ifndef FC_FUNCTIONS_H
#define FC_FUNCTIONS_H

#include "exp.h"

#include <math.h>

#if FC_DOUBLE
#define SQRT sqrt
enum { LOG_TERMS = 11, LOG1P_TERMS = 17, TINY_BITS = 54 };
#define SQRT_HALF 0x3fe6a09e667f3bcd
#define ROUND 0x1.8p52
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LEAST_NORMAL 0x1p-1022
#else
#define SQRT sqrtf
enum { LOG_TERMS = 5, LOG1P_TERMS = 8, TINY_BITS = 24 };
#define SQRT_HALF 0x3f3504f3
#define ROUND 0x1.8p23f
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW (-0x1.bd0106p-13f)
#define LEAST_NORMAL 0x1p-126f
#endif

FC_INLINE vec splat(real value) { return (vec){0} + value; }
FC_INLINE vec abs_vec(vec x) { return (vec)((ivec)x & ~SIGN_BIT); }
/* The magnitude of x, which is not negative, with the sign of `of`. */
FC_INLINE vec with_sign(vec x, vec of) { return (vec)((ivec)x | ((ivec)of & SIGN_BIT)); }

FC_INLINE vec sqrt_vec(vec x)
{
    typedef real register_vec __attribute__((vector_size(FC_BYTES)));
    const register_vec v = (register_vec)x;
#if defined(__clang__) || !defined(__SSE2__) || (FC_BYTES == 64 && !defined(__AVX512F__))
    register_vec y;
    for (int i = 0; i < LANES; i++) y[i] = SQRT(v[i]);
    return (vec)y;
#elif FC_BYTES == 64 && FC_DOUBLE
    return (vec)__builtin_ia32_sqrtpd512_mask(v, v, -1, 4); /* 4: as the current mode rounds */
#elif FC_BYTES == 64
    return (vec)__builtin_ia32_sqrtps512_mask(v, v, -1, 4);
#elif FC_BYTES == 32 && FC_DOUBLE
    return (vec)__builtin_ia32_sqrtpd256(v);
#elif FC_BYTES == 32
    return (vec)__builtin_ia32_sqrtps256(v);
#elif FC_DOUBLE
    return (vec)__builtin_ia32_sqrtpd(v);
#else
    return (vec)__builtin_ia32_sqrtps(v);
#endif
}

/* The sum of z**k * 2 / (2 k + 3), k = 0 .. terms - 1: with z = s**2, log((1 + s) / (1 - s)) = 2 s + s * z * the sum. */
FC_INLINE vec log_series(vec z, const int terms)
{
    static const real terms_of[] = {
        (real)(2.0 / 3),  (real)(2.0 / 5),  (real)(2.0 / 7),  (real)(2.0 / 9),  (real)(2.0 / 11), (real)(2.0 / 13),
        (real)(2.0 / 15), (real)(2.0 / 17), (real)(2.0 / 19), (real)(2.0 / 21), (real)(2.0 / 23), (real)(2.0 / 25),
        (real)(2.0 / 27), (real)(2.0 / 29), (real)(2.0 / 31), (real)(2.0 / 33), (real)(2.0 / 35),
    };
    vec sum = splat(terms_of[terms - 1]);
    FC_UNROLL(17)
    for (int k = terms - 2; k >= 0; k--) sum = sum * z + terms_of[k];
    return sum;
}

/* x = 2**k * (1 + f) with 1 + f between the roots of 1/2 and 2; log(1 + f) with s = f / (2 + f), in fdlibm's arrangement,
 * whose largest term f is exact. -inf at 0, NaN below. */
FC_INLINE vec log_vec(vec x)
{
    const vec round = splat(ROUND);
    const ivec tiny = x < splat(LEAST_NORMAL);
    const vec v = select(tiny, x * (real)((int64_t)1 << TINY_BITS), x);
    const ivec exponent = ((ivec)v - SQRT_HALF) >> FRACTION_BITS;
    const vec f = (vec)((ivec)v - (exponent << FRACTION_BITS)) - 1;
    const vec k = (vec)(exponent - (tiny & TINY_BITS) + (ivec)round) - round;
    const vec s = f / (2 + f), z = s * s, half = (real)0.5 * f * f;
    const vec tail = s * (half + z * log_series(z, LOG_TERMS));
    const vec y = k * LN2_HIGH - ((half - (tail + k * LN2_LOW)) - f);
    const vec below = select(x == 0, splat(-(real)INFINITY), splat((real)NAN));
    return select(x == splat((real)INFINITY), x, select(x > 0, y, select(x == x, below, x)));
}

/* log(1 + x) for x from 0 to 1 */
FC_INLINE vec log1p_vec(vec x)
{
    const vec s = x / (2 + x), z = s * s;
    return 2 * s + s * z * log_series(z, LOG1P_TERMS);
}

FC_INLINE vec tanh_vec(vec x)
{
    const vec t = expm1_vec(-2 * abs_vec(x));
    return with_sign(-t / (t + 2), x);
}

/* y / (1 + exp(-x)) for a finite y: where x is below 0, the exponential of it is above the line. */
FC_INLINE vec logistic_share(vec x, vec y)
{
    const vec power = exp_minus_abs(x);
    return y * select(x < 0, power, splat(1)) / (1 + power);
}

/* 1 / (1 + exp(-x)); *other, where asked for, is 1 less that, to the last place as well. */
FC_INLINE vec logistic_vec(vec x, vec *other)
{
    const vec power = exp_minus_abs(x), large = 1 / (1 + power), small = power * large;
    if (other) *other = select(x < 0, large, small);
    return select(x < 0, small, large);
}

/* log(1 + exp(x)) */
FC_INLINE vec softplus_vec(vec x)
{
    return at_least(x, 0) + log1p_vec(exp_vec(-abs_vec(x)));
}

FC_INLINE vec polynomial(vec x, const real *of, const int terms)
{
    vec sum = splat(of[terms - 1]);
    FC_UNROLL(24)
    for (int k = terms - 2; k >= 0; k--) sum = sum * x + of[k];
    return sum;
}

/* With coefficients that were computed in 40 digits and more, and best over the range where erf is not 1.
 * Float: x * P(x**2) / Q(x**2). Double: x + x * P(x**2) below 1, else 1 - exp(-|x| * Q(t)), where t goes from -1 to 1 as
 * |x| goes from 1 to 6; there the two are Chebyshev interpolants, of erf(x) / x - 1 and of -log(erfc(x)) / x. */
#if FC_DOUBLE
static const real erf_near[] = {
    0.12837916709551257, -0.37612638903183748, 0.11283791670954879, -0.026866170645076793, 0.0052239776248180145,
    -0.00085483269808337899, 0.00012055331111642711, -1.4925595266831182e-5, 1.6461000484121368e-6,
    -1.6350312701054695e-7, 1.4659775274047436e-8, -1.1372848856791674e-9, 5.9571761477489114e-11,
};
static const real erf_far[] = {
    4.0321249720423354, 2.3099818688020396, 0.076357691466797034, -0.031212376842622965, 0.012543580294057233,
    -0.0048498292586025792, 0.0017631053215472243, -0.0005810760047663664, 0.00015974681791039862,
    -2.6156444206988948e-5, -7.2892289518894625e-6, 1.0485144969449448e-5, -7.0646201407751829e-6,
    3.7411623054468648e-6, -1.7008248988370458e-6, 6.679470713784919e-7, -2.0602308426485321e-7,
    3.5679233988393571e-8, 2.0453244450544245e-9, -7.1859492981283236e-9, 1.2110884378569076e-8,
    -9.8620597684329446e-9, 3.3334595562712432e-9, -3.3542041889672368e-10,
};

FC_INLINE vec erf_vec(vec x)
{
    const vec size = at_most(abs_vec(x), 6), near = at_most(size, 1);
    const vec small = size + size * polynomial(near * near, erf_near, sizeof erf_near / sizeof(real));
    const vec t = size * (real)(2.0 / 5) - (real)(7.0 / 5);
    const vec power = -size * polynomial(t, erf_far, sizeof erf_far / sizeof(real));
    return with_sign(select(size < 1, small, 1 - exp_vec(power)), x);
}
#else
static const real erf_above[] = {
    1.12837914f, 0.193534366f, 0.053100036f, 0.00388280566f, 0.000284540777f, 1.98669602e-6f,
};
static const real erf_below[] = {
    1, 0.504847926f, 0.115345312f, 0.0152061814f, 0.00118541633f, 3.74179584e-5f,
};

FC_INLINE vec erf_vec(vec x)
{
    const vec size = at_most(abs_vec(x), 4), z = size * size;
    const vec y = size * polynomial(z, erf_above, sizeof erf_above / sizeof(real))
                / polynomial(z, erf_below, sizeof erf_below / sizeof(real));
    return with_sign(select(size >= 4, splat(1), at_most(y, 1)), x);
}
#endif

#undef ROUND
#undef LN2_HIGH
#undef LN2_LOW

#endif
