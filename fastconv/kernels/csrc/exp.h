/* exp.h: e to the power of x for a vector, float or double, within 2 units in the last place, and that less 1.
 *
 * NaN stays NaN, infinities give inf and 0, results too large or too small for the type overflow and underflow as
 * they should, denormals included. Not here: what is made of it (functions.h).
 */
#ifndef FC_EXP_H
#define FC_EXP_H

#include "vector.h"

/* x = n * ln 2 + r with n an integer and |r| <= ln 2 / 2; e**x = 2**n * e**r, e**r by its Taylor series, of float by the
 * polynomial that interpolates it in Chebyshev's points of that range where a term less will do.
 *
 * Adding ROUND leaves an integer in the low bits of the sum. n * LN2_HIGH is exact. The power of two is multiplied
 * in two halves, since n reaches further than one exponent. LEAST and MOST lie where the result is 0 and inf. */
#if FC_DOUBLE
enum { EXP_TERMS = 14, EXPONENT_BIAS = 1023, FRACTION_BITS = 52 };
#define ROUND 0x1.8p52
#define LN2_HIGH 0x1.62e42feep-1
#define LN2_LOW 0x1.a39ef35793c76p-33
#define LEAST (-760.0)
#define MOST 720.0
#define SIGN_BIT INT64_MIN
#else
enum { EXP_TERMS = 8, EXPONENT_BIAS = 127, FRACTION_BITS = 23 };
#define ROUND 0x1.8p23f
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW (-0x1.bd0106p-13f)
#define LEAST (-110.0f)
#define MOST 100.0f
#define SIGN_BIT INT32_MIN
#endif

/* 1 / k! */
static const real inverse_factorial[] = {
    1,
    1,
    (real)(1.0 / 2),
    (real)(1.0 / 6),
    (real)(1.0 / 24),
    (real)(1.0 / 120),
    (real)(1.0 / 720),
    (real)(1.0 / 5040),
    (real)(1.0 / 40320),
    (real)(1.0 / 362880),
    (real)(1.0 / 3628800),
    (real)(1.0 / 39916800),
    (real)(1.0 / 479001600),
    (real)(1.0 / 6227020800),
};

/* r; *sum is n + ROUND, whose low bits are n. */
FC_INLINE vec exp_rest(vec x, vec *sum)
{
    *sum = x * (real)1.44269504088896340736 + (real)ROUND;
    const vec n = *sum - (real)ROUND;
    return (x - n * LN2_HIGH) - n * LN2_LOW;
}

/* e**r - 1, with the last place right near 0 too. */
FC_INLINE vec exp_fraction(vec x, vec *sum)
{
    const vec r = exp_rest(x, sum);
    vec tail = (vec){0} + inverse_factorial[EXP_TERMS - 1]; /* (e**r - 1 - r) / r**2 */
    FC_UNROLL(14)
    for (int k = EXP_TERMS - 2; k >= 2; k--) tail = tail * r + inverse_factorial[k];
    return r + r * r * tail;
}

/* e**x for x between LEAST and MOST. */
FC_INLINE vec exp_within(vec x)
{
    const vec round = (vec){0} + (real)ROUND;
    vec sum;
#if FC_DOUBLE
    const vec power = 1 + exp_fraction(x, &sum);
#else
    const vec r = exp_rest(x, &sum);
    const vec power = 1 + r * (1 + r * (0.5f + r * (0x1.5554dcp-3f + r * (0x1.555518p-5f + r * (0x1.120c62p-7f + r * 0x1.6d11fep-10f)))));
#endif
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
    typedef real scaled_vec __attribute__((vector_size(64))); /* one instruction for both halves */
    const scaled_vec p = (scaled_vec)power, n = (scaled_vec)(sum - round);
#if FC_DOUBLE
    return (vec)__builtin_ia32_scalefpd512_mask(p, n, p, -1, 4);
#else
    return (vec)__builtin_ia32_scalefps512_mask(p, n, p, -1, 4);
#endif
#else
    const vec half_sum = (sum - round) * (real)0.5 + round;
    const ivec half = (ivec)half_sum - (ivec)round, rest = (ivec)sum - (ivec)round - half;
    return power * (vec)((half + EXPONENT_BIAS) << FRACTION_BITS) * (vec)((rest + EXPONENT_BIAS) << FRACTION_BITS);
#endif
}

FC_INLINE vec exp_vec(vec x) { return exp_within(at_most(at_least(x, LEAST), MOST)); }

/* e**-|x| */
FC_INLINE vec exp_minus_abs(vec x)
{
    return exp_within(at_least((vec)((ivec)x | SIGN_BIT), LEAST));
}

/* e**x - 1 for x <= 60, with the last place right near 0 too; it is -1 from -60 on. */
FC_INLINE vec expm1_vec(vec x)
{
    const vec round = (vec){0} + (real)ROUND;
    vec sum;
    const vec fraction = exp_fraction(at_least(x, -60), &sum);
    const vec scale = (vec)(((ivec)sum - (ivec)round + EXPONENT_BIAS) << FRACTION_BITS);
    return fraction * scale + (scale - 1);
}

#undef ROUND
#undef LN2_HIGH
#undef LN2_LOW
#undef LEAST
#undef MOST

#endif
