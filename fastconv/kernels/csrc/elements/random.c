/* random.c: random numbers by counting: Philox4x32-10, a function of (seed, stream, counter) that looks random. Uniform and
 * normal numbers, and dropout.
 *
 * Number i of a draw depends on the state and on i alone, and every operation is one that IEEE rounds, none of them fused
 * (the build says so): the same bits on any instruction set, at any number of threads. Numbers lie in groups of 16 blocks;
 * Philox makes four words of 32 bits of a block: word 0 of all 16, then word 1...; two words make a number of a double.
 */
#include "shuffle.h"

#include <math.h>

/* A block's word in the low half of each lane; the high half is not looked at. */
enum { ROUNDS = 10, BLOCKS = 16, WORD_LANES = FC_BYTES / 8, SLICES = BLOCKS / WORD_LANES };
typedef uint64_t words __attribute__((vector_size(FC_BYTES)));
typedef uint32_t halves __attribute__((vector_size(FC_BYTES), may_alias));
typedef int32_t signed_halves __attribute__((vector_size(FC_BYTES)));

FC_INLINE words product(words a, uint32_t b)
{
    const words factor = (words){0} + b;
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
    typedef int ints __attribute__((vector_size(64)));
    typedef long long longs __attribute__((vector_size(64)));
    return (words)__builtin_ia32_pmuludq512_mask((ints)a, (ints)factor, (longs){0}, -1);
#elif defined(__AVX2__) && FC_BYTES == 32 && !defined(__clang__)
    typedef int ints __attribute__((vector_size(32)));
    return (words)__builtin_ia32_pmuludq256((ints)a, (ints)factor);
#elif defined(__SSE2__) && FC_BYTES == 16 && !defined(__clang__)
    typedef int ints __attribute__((vector_size(16)));
    return (words)__builtin_ia32_pmuludq128((ints)a, (ints)factor);
#else
    return (a & 0xffffffff) * factor;
#endif
}

/* What all blocks of a draw share. */
typedef struct {
    words keys[ROUNDS][2], stream[2];
    uint64_t first; /* block of the draw */
} source;

FC_INLINE source source_of(const fc_random *j)
{
    source s;
    uint32_t key_0 = (uint32_t)j->state[0], key_1 = (uint32_t)(j->state[0] >> 32);
    for (int round = 0; round < ROUNDS; round++, key_0 += 0x9E3779B9, key_1 += 0xBB67AE85) {
        s.keys[round][0] = (words){0} + key_0;
        s.keys[round][1] = (words){0} + key_1;
    }
    s.stream[0] = (words){0} + j->state[1];
    s.stream[1] = (words){0} + (j->state[1] >> 32);
    s.first = j->state[2] * BLOCKS;
    return s;
}

/* The words of the blocks from `block` of the draw on. */
#define LANE(i, n, d) i
FC_INLINE void philox(const source *s, uint64_t block, words w[4])
{
    w[0] = (words){FC_EACH_OF_8(LANE, 0)} + (s->first + block);
    w[1] = w[0] >> 32;
    w[2] = s->stream[0];
    w[3] = s->stream[1];
    FC_UNROLL(10)
    for (int round = 0; round < ROUNDS; round++) {
        const words a = product(w[0], 0xD2511F53), b = product(w[2], 0xCD9E8D57);
        w[0] = (b >> 32) ^ w[1] ^ s->keys[round][0];
        w[1] = b;
        w[2] = (a >> 32) ^ w[3] ^ s->keys[round][1];
        w[3] = a;
    }
}

/* The group's words of 32 bits, in order. */
enum { HALF_LANES = FC_BYTES / 4, HALVES = FC_GROUP_WORDS / HALF_LANES };
#define EVEN(i, n, d) (2 * (i))
FC_INLINE void group_words(const source *from, ptrdiff_t group, halves to[HALVES])
{
    for (int s = 0; s < SLICES; s += 2) {
        words a[4], b[4];
        philox(from, group * BLOCKS + s * WORD_LANES, a);
        philox(from, group * BLOCKS + (s + 1) * WORD_LANES, b);
        FC_UNROLL(4)
        for (int q = 0; q < 4; q++)
            to[(q * SLICES + s) / 2] = FC_PICK(signed_halves, (halves)a[q], (halves)b[q], FC_EACH_OF_4(EVEN, 0));
    }
}

/* ---- numbers as wide as a real ---- */

enum { GROUP = FC_GROUP_WORDS * 4 / sizeof(real), GROUP_VECTORS = GROUP / LANES };
#if FC_DOUBLE
enum { DIGITS = 53, WIDTH = 64 };
typedef words number;
#define SQRT sqrt
#define ATANH_TERMS 11
#define TRIG_TERMS 9
#else
enum { DIGITS = 24, WIDTH = 32 };
typedef halves number;
#define SQRT sqrtf
#define ATANH_TERMS 5
#define TRIG_TERMS 5
#endif

FC_INLINE void group_numbers(const source *from, ptrdiff_t group, number to[GROUP_VECTORS])
{
#if FC_DOUBLE
    for (int s = 0; s < SLICES; s++) {
        words w[4];
        philox(from, group * BLOCKS + s * WORD_LANES, w);
        to[s] = w[1] << 32 | (w[0] & 0xffffffff);
        to[SLICES + s] = w[3] << 32 | (w[2] & 0xffffffff);
    }
#else
    group_words(from, group, to);
#endif
}

/* Integers of up to DIGITS - 2 bits and a sign. The low bits of ROUND plus such a number are the number. */
FC_INLINE vec real_of(ivec i)
{
#if FC_DOUBLE
    const vec round = (vec){0} + 0x1.8p52;
    return (vec)(i + (ivec)round) - round;
#else
    return __builtin_convertvector(i, vec);
#endif
}

/* [0, 1) in steps of 2**-DIGITS. */
FC_INLINE vec unit(number n)
{
#if FC_DOUBLE
    const words low = (n & 0xffffffff) >> (WIDTH - DIGITS);
    return (real_of((ivec)(n >> 32)) * 0x1p21 + real_of((ivec)low)) * 0x1p-53;
#else
    return real_of((ivec)(n >> (WIDTH - DIGITS))) * 0x1p-24f;
#endif
}

/* ln x for 0 < x <= 1: x = 2**e * m, m between 1/sqrt 2 and sqrt 2, ln m = 2 artanh((m - 1) / (m + 1)). */
FC_INLINE vec log_vec(vec x)
{
    enum { FRACTION = DIGITS - 1, BIAS = FC_DOUBLE ? 1023 : 127 };
    const ivec one = (ivec)((vec){0} + 1);
    const ivec fraction = ((ivec)x & (((lane)1 << FRACTION) - 1)) | one;
    const ivec large = (vec)fraction > (real)1.41421356237309504880; /* -1 where m is halved */
    const vec m = (vec)(fraction + (large << FRACTION)), e = real_of(((ivec)x >> FRACTION) - BIAS - large);
    const vec s = (m - 1) / (m + 1), square = s * s;
    vec sum = (vec){0} + (real)(1.0 / (2 * ATANH_TERMS + 1));
    FC_UNROLL(16)
    for (int k = ATANH_TERMS - 1; k >= 0; k--) sum = sum * square + (real)(1.0 / (2 * k + 1));
    return e * (real)0.69314718055994530942 + 2 * (s * sum);
}

/* cos and sin of a full turn's fraction n / 2**WIDTH: of the nearest quarter, and of what is left. */
FC_INLINE void turn(number n, vec *cosine, vec *sine)
{
    const ivec t = (ivec)(n >> (WIDTH - DIGITS));
    const ivec quarter = (t + ((lane)1 << (DIGITS - 3))) >> (DIGITS - 2);
    const vec rest = real_of(t - (quarter << (DIGITS - 2)));
    const vec a = rest * (real)(1.57079632679489661923 / ((int64_t)1 << (DIGITS - 2))), square = a * a;
    vec c = (vec){0} + 1, s = (vec){0} + 1;
    FC_UNROLL(16)
    for (int k = TRIG_TERMS; k > 0; k--) {
        c = 1 - square * c * (real)(1.0 / ((2 * k - 1) * (2 * k)));
        s = 1 - square * s * (real)(1.0 / ((2 * k) * (2 * k + 1)));
    }
    s = s * a;
    const ivec odd = -(quarter & 1);
    const ivec minus_c = ((quarter + 1) & 2) << (WIDTH - 2), minus_s = (quarter & 2) << (WIDTH - 2);
    *cosine = (vec)((ivec)select(odd, s, c) ^ minus_c);
    *sine = (vec)((ivec)select(odd, c, s) ^ minus_s);
}

/* Box and Muller: of 16 numbers and the 16 behind them, 16 normal ones and 16 more. */
FC_INLINE void group_normals(const source *from, ptrdiff_t group, vec to[GROUP_VECTORS])
{
    enum { HALF = BLOCKS / LANES };
    number n[GROUP_VECTORS];
    real radius[LANES];
    group_numbers(from, group, n);
    for (int pair = 0; pair < GROUP_VECTORS; pair += 2 * HALF)
        for (int k = pair; k < pair + HALF; k++) {
#if FC_DOUBLE
            const vec above_0 = unit(n[k]) + 0x1p-54;
#else
            const vec above_0 = real_of((ivec)(n[k] >> 1)) * 0x1p-31f + 0x1p-32f; /* longer tails than of 24 bits */
#endif
            vec cosine, sine;
            turn(n[k + HALF], &cosine, &sine);
            store(radius, -2 * log_vec(above_0));
            for (int i = 0; i < LANES; i++) radius[i] = SQRT(radius[i]);
            to[k] = load(radius) * cosine;
            to[k + HALF] = load(radius) * sine;
        }
}

FC_INLINE void each_group(const int normal, const fc_random *j, ptrdiff_t tile)
{
    const ptrdiff_t last = min_((tile + 1) * j->block, j->groups);
    const vec scale = (vec){0} + (real)j->scale, shift = (vec){0} + (real)j->shift, most = (vec){0} + (real)j->most;
    const source from = source_of(j);
    for (ptrdiff_t group = tile * j->block; group < last; group++) {
        real *y = (real *)j->y + group * GROUP;
        vec v[GROUP_VECTORS];
        if (normal) {
            group_normals(&from, group, v);
        } else {
            number n[GROUP_VECTORS];
            group_numbers(&from, group, n);
            for (int k = 0; k < GROUP_VECTORS; k++) v[k] = unit(n[k]);
        }
        for (int k = 0; k < GROUP_VECTORS; k++) {
            v[k] = v[k] * scale + shift;
            if (!normal) v[k] = select(v[k] > most, most, v[k]);
        }
        if (j->count - group * GROUP >= GROUP)
            memcpy(y, v, sizeof v);
        else
            memcpy(y, v, (j->count - group * GROUP) * sizeof(real));
    }
}

void FC_NAME(random_uniform)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_group(0, job, tile);
}

void FC_NAME(random_normal)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_group(1, job, tile);
}

/* After a draw, so that the next one, which may be the same job again, draws other numbers. */
void FC_NAME(random_advance)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch, (void)tile;
    const fc_random *j = job;
    j->state[2] += j->groups;
}

/* ---- dropout ---- */

/* A bit for each lane of a mask. */
FC_INLINE uint64_t bits_of(signed_halves mask)
{
#if defined(__AVX512DQ__) && FC_BYTES == 64 && !defined(__clang__)
    typedef int ints __attribute__((vector_size(64)));
    return (uint16_t)__builtin_ia32_cvtd2mask512((ints)mask);
#elif defined(__AVX__) && FC_BYTES == 32
    typedef float floats __attribute__((vector_size(32)));
    return (uint32_t)__builtin_ia32_movmskps256((floats)mask);
#elif defined(__SSE2__) && FC_BYTES == 16
    typedef float floats __attribute__((vector_size(16)));
    return (uint32_t)__builtin_ia32_movmskps((floats)mask);
#else
    uint64_t bits = 0;
    for (int i = 0; i < HALF_LANES; i++) bits |= (uint64_t)(mask[i] & 1) << i;
    return bits;
#endif
}

/* y = x * scale where the element's bit is set, else 0; x may be NULL. */
FC_INLINE void keep(uint64_t bits, const real *x, real scale, real *y, ptrdiff_t count)
{
    const ivec bit = ((ivec){0} + 1) << (ivec){FC_EACH_LANE(LANE, 0)};
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES, bits >>= LANES) {
        vec v = (vec){0} + scale;
        if (x) v = load(x + i) * scale;
        store(y + i, (vec)((ivec)v & ((((ivec){0} + (lane)bits) & bit) != 0)));
    }
    for (; i < count; i++, bits >>= 1) y[i] = bits & 1 ? (x ? x[i] * scale : scale) : 0;
}

void FC_NAME(dropout_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_random *j = job;
    const source from = source_of(j);
    const ptrdiff_t last = min_((tile + 1) * j->block, j->groups);
    for (ptrdiff_t group = tile * j->block; group < last; group++) {
        const ptrdiff_t at = group * FC_GROUP_WORDS;
        halves w[HALVES];
        uint64_t bits = 0;
        group_words(&from, group, w);
        FC_UNROLL(16)
        for (int k = 0; k < HALVES; k++)
            bits |= bits_of((signed_halves)(w[k] >> 8) >= j->threshold) << k * HALF_LANES;
        if (j->mask) j->mask[group] = bits;
        keep(bits, j->x ? (const real *)j->x + at : NULL, (real)j->scale, (real *)j->y + at,
             min_(j->count - at, FC_GROUP_WORDS));
    }
}

void FC_NAME(dropout_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_random *j = job;
    const ptrdiff_t last = min_((tile + 1) * j->block, j->groups);
    for (ptrdiff_t group = tile * j->block; group < last; group++) {
        const ptrdiff_t at = group * FC_GROUP_WORDS;
        keep(j->mask[group], (const real *)j->x + at, (real)j->scale, (real *)j->y + at,
             min_(j->count - at, FC_GROUP_WORDS));
    }
}
