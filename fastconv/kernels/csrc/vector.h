/* vector.h: what a tile file needs to be compiled once per instruction set and element type.
 *
 * The build defines FC_REAL (float or double), FC_DOUBLE (0 or 1), FC_BYTES (bytes in a vector register), FC_BLOCK
 * (pixels in a register tile) and FC_SUFFIX. Vectors are GCC/Clang vector types: one source serves SSE2, AVX2, AVX-512 and NEON. Nothing
 * but static functions and FC_NAME'd ones may stand in a file that includes this: an unsuffixed symbol would let the
 * linker choose an instruction set.
 */
#ifndef FC_VECTOR_H
#define FC_VECTOR_H

#include "tiles.h"

#include <string.h>

#define FC_JOIN_(a, b) a##b
#define FC_JOIN(a, b) FC_JOIN_(a, b)
#define FC_NAME(name) FC_JOIN(name, FC_SUFFIX)
/* Before a loop over registers: its count is a constant after inlining, and it must disappear. */
#define FC_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define FC_UNROLL(count) FC_PRAGMA(unroll)
#else
#define FC_UNROLL(count) FC_PRAGMA(GCC unroll count)
#endif
#define FC_INLINE static inline __attribute__((always_inline))

typedef FC_REAL real;

enum { LANES = FC_BYTES / sizeof(real), VECTORS = 2, PANEL = VECTORS * LANES, BLOCK = FC_BLOCK };

/* Unaligned and aliasing: users' arrays may start anywhere. */
typedef real vec __attribute__((vector_size(FC_BYTES), aligned(sizeof(real)), may_alias));

/* Integers as wide as a real: masks, and indices before they are narrowed. */
#if FC_DOUBLE
typedef int64_t lane;
#else
typedef int32_t lane;
#endif
typedef lane ivec __attribute__((vector_size(FC_BYTES)));

/* By lane: a where the mask is set, else b. C has no ?: for vectors; AVX2 has an instruction that compilers do not find
 * (of AVX-512's they make two: see keep_greater). It reads the mask's signs; of the one for bytes GCC would make the mask anew. */
#if defined(__AVX2__) && FC_BYTES == 32
typedef real blend_vec __attribute__((vector_size(32)));
FC_INLINE ivec choose(ivec mask, ivec a, ivec b)
{
#if FC_DOUBLE
    return (ivec)__builtin_ia32_blendvpd256((blend_vec)b, (blend_vec)a, (blend_vec)mask);
#else
    return (ivec)__builtin_ia32_blendvps256((blend_vec)b, (blend_vec)a, (blend_vec)mask);
#endif
}
#else
FC_INLINE ivec choose(ivec mask, ivec a, ivec b) { return (mask & a) | (~mask & b); }
#endif
FC_INLINE vec select(ivec mask, vec a, vec b) { return (vec)choose(mask, (ivec)a, (ivec)b); }

/* The limit where x lies beyond it, else x: NaN stays. */
#if defined(__SSE2__) && !defined(__clang__) && (FC_BYTES < 64 || defined(__AVX512F__))
/* The instructions give their second operand where one is NaN. */
typedef real limit_vec __attribute__((vector_size(FC_BYTES)));
#if FC_DOUBLE
#define FC_LIMIT(which, a, b) FC_JOIN(FC_LIMIT_, FC_BYTES)(which##pd, a, b)
#else
#define FC_LIMIT(which, a, b) FC_JOIN(FC_LIMIT_, FC_BYTES)(which##ps, a, b)
#endif
#define FC_LIMIT_16(name, a, b) __builtin_ia32_##name(a, b)
#define FC_LIMIT_32(name, a, b) __builtin_ia32_##name##256(a, b)
#define FC_LIMIT_64(name, a, b) __builtin_ia32_##name##512_mask(a, b, b, -1, 4)
FC_INLINE vec at_least(vec x, real limit) { return (vec)FC_LIMIT(max, (limit_vec){0} + limit, (limit_vec)x); }
FC_INLINE vec at_most(vec x, real limit) { return (vec)FC_LIMIT(min, (limit_vec){0} + limit, (limit_vec)x); }
#else
FC_INLINE vec at_least(vec x, real limit) { return select(x < limit, (vec){0} + limit, x); }
FC_INLINE vec at_most(vec x, real limit) { return select(x > limit, (vec){0} + limit, x); }
#endif

/* One more element of a maximum and its number: `v` takes the place of `best` where it is greater or the first NaN, so
 * that ties keep the earlier. AVX-512 compares into mask registers; of the vectors GCC would make masks and back. */
FC_INLINE void keep_greater(vec v, ivec number, vec *best, ivec *won)
{
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
    enum { ORDERED = 7, NOT_LESS_EQUAL = 22, ROUND_CURRENT = 4 };
    typedef real mask_vec __attribute__((vector_size(64)));
    const mask_vec a = (mask_vec)v, b = (mask_vec)*best;
#if FC_DOUBLE
    typedef long long mask_ivec __attribute__((vector_size(64)));
    const unsigned char real_best = __builtin_ia32_cmppd512_mask(b, b, ORDERED, -1, ROUND_CURRENT);
    const unsigned char take = __builtin_ia32_cmppd512_mask(a, b, NOT_LESS_EQUAL, real_best, ROUND_CURRENT);
    *best = (vec)__builtin_ia32_blendmpd_512_mask(b, a, take);
    *won = (ivec)__builtin_ia32_blendmq_512_mask((mask_ivec)*won, (mask_ivec)number, take);
#else
    typedef int mask_ivec __attribute__((vector_size(64)));
    const unsigned short real_best = __builtin_ia32_cmpps512_mask(b, b, ORDERED, -1, ROUND_CURRENT);
    const unsigned short take = __builtin_ia32_cmpps512_mask(a, b, NOT_LESS_EQUAL, real_best, ROUND_CURRENT);
    *best = (vec)__builtin_ia32_blendmps_512_mask(b, a, take);
    *won = (ivec)__builtin_ia32_blendmd_512_mask((mask_ivec)*won, (mask_ivec)number, take);
#endif
#else
    const ivec take = ~(v <= *best) & (*best == *best);
    *best = select(take, v, *best);
    *won = choose(take, number, *won);
#endif
}

FC_INLINE vec load(const real *p) { return *(const vec *)p; }
FC_INLINE void store(real *p, vec v) { *(vec *)p = v; }

/* Fewer elements than a vector has, by halves: a copy of constant size is an instruction. */
FC_INLINE void copy_few(const real *x, real *y, ptrdiff_t count)
{
    if (LANES > 8 && count & 8) memcpy(y, x, 8 * sizeof(real)), x += 8, y += 8;
    if (LANES > 4 && count & 4) memcpy(y, x, 4 * sizeof(real)), x += 4, y += 4;
    if (LANES > 2 && count & 2) memcpy(y, x, 2 * sizeof(real)), x += 2, y += 2;
    if (count & 1) *y = *x;
}

/* The last vector of a row that is no whole number of vectors: only `lanes` elements are touched, which are no more than
 * it has. Masks are free where they are registers; AVX2's cost stores dearly on some CPUs. */
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
typedef real part_vec __attribute__((vector_size(64)));
#if FC_DOUBLE
#define FC_PART(p, v, lanes, name) __builtin_ia32_##name##upd512_mask(p, v, (unsigned char)((1u << (lanes)) - 1))
#else
#define FC_PART(p, v, lanes, name) __builtin_ia32_##name##ups512_mask(p, v, (unsigned short)((1u << (lanes)) - 1))
#endif
FC_INLINE vec load_some(const real *p, ptrdiff_t lanes) { return (vec)FC_PART(p, (part_vec){0}, lanes, load); }
FC_INLINE void store_some(real *p, vec v, ptrdiff_t lanes) { FC_PART(p, (part_vec)v, lanes, store); }
#undef FC_PART
#else
FC_INLINE vec load_some(const real *p, ptrdiff_t lanes)
{
#if defined(__AVX2__) && FC_BYTES == 32 && !defined(__clang__)
    typedef real part_vec __attribute__((vector_size(32)));
#if FC_DOUBLE
    typedef long long part_mask __attribute__((vector_size(32)));
    return (vec)__builtin_ia32_maskloadpd256((const part_vec *)p, (part_mask){0, 1, 2, 3} < lanes);
#else
    typedef int part_mask __attribute__((vector_size(32)));
    return (vec)__builtin_ia32_maskloadps256((const part_vec *)p, (part_mask){0, 1, 2, 3, 4, 5, 6, 7} < (int)lanes);
#endif
#else
    vec v = {0};
    memcpy(&v, p, lanes * sizeof(real));
    return v;
#endif
}
FC_INLINE void store_some(real *p, vec v, ptrdiff_t lanes)
{
    real values[LANES];
    store(values, v);
    copy_few(values, p, lanes);
}
#endif
FC_INLINE vec load_part(const real *p, ptrdiff_t lanes) { return lanes == LANES ? load(p) : load_some(p, lanes); }
/* The same without a branch, where masks load whole vectors as quickly. */
FC_INLINE vec load_end(const real *p, ptrdiff_t lanes)
{
    return FC_BYTES < 32 ? load_part(p, lanes) : load_some(p, lanes);
}
FC_INLINE void store_part(real *p, vec v, ptrdiff_t lanes)
{
    if (lanes == LANES)
        store(p, v);
    else
        store_some(p, v, lanes);
}

/* A convolution's sums as fc_finish says; `at`: how many elements into y they are stored. */
FC_INLINE vec finished(const fc_finish *f, vec v, ptrdiff_t at, ptrdiff_t lanes)
{
    if (f->residual) v += load_part((const real *)f->residual + at, lanes);
    if (f->relu) v = at_most(at_least(v, 0), (real)f->most);
    return v;
}
FC_INLINE int finishes(const fc_finish *f) { return f->relu || f->residual; }

/* conv_forward.c: a block of outputs to `to`, whose rows and columns are y_step[0] and y_step[1] apart; and the scratch, in
 * bytes, of the blocks that the job says. */
ptrdiff_t FC_NAME(conv_forward_size)(const void *job);
void FC_NAME(conv_block)(const fc_conv *j, const fc_block *k, void *to, const ptrdiff_t y_step[2], void *scratch);

/* products.c: out (rows, vectors) = a (rows, depth) b (depth, vectors), of at most BLOCK rows and VECTORS vectors; or out
 * += where `add` is set. Meanwhile it prefetches what comes next: two values for each row of b, from `next` on in steps of
 * `next_row`; b itself, where there is nothing to come. */
typedef struct {
    ptrdiff_t depth, a_row, b_row, next_row;
    const real *next[2];
    int add;
} fc_factors;
void FC_NAME(product_block)(const fc_factors *f, ptrdiff_t rows, ptrdiff_t vectors, const real *a, const real *b,
                            real *out, ptrdiff_t out_row);

/* maps.c: y = a function of maps.h of s, or its gradient where there is a dy, over whole vectors; y may be dy or s.
 * Functions have no parameters here: clipped_relu has no bound. -1 is the identity. */
void FC_NAME(map_vectors)(int function, const real *dy, const real *s, real *y, ptrdiff_t count);
/* y = fc_finish's function of y, of `rows` rows of `count` elements, `step` apart. */
void FC_NAME(map_rows)(const fc_finish *f, real *y, ptrdiff_t rows, ptrdiff_t step, ptrdiff_t count);

FC_INLINE ptrdiff_t min_(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
FC_INLINE ptrdiff_t max_(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
FC_INLINE ptrdiff_t blocks(ptrdiff_t count, ptrdiff_t size) { return (count + size - 1) / size; }

/* The first and past-the-last tap of output `o` that read inside the input. */
FC_INLINE ptrdiff_t first_tap(const fc_axis *a, ptrdiff_t o)
{
    const ptrdiff_t at = o * a->stride + a->start;
    return at >= 0 ? 0 : min_(blocks(-at, a->dilation), a->taps);
}
FC_INLINE ptrdiff_t last_tap(const fc_axis *a, ptrdiff_t o)
{
    const ptrdiff_t at = o * a->stride + a->start;
    return at >= a->input ? 0 : min_(blocks(a->input - at, a->dilation), a->taps);
}

/* The first and past-the-last output whose tap `t` reads inside the input. */
FC_INLINE ptrdiff_t first_output(const fc_axis *a, ptrdiff_t t)
{
    const ptrdiff_t at = t * a->dilation + a->start;
    return at >= 0 ? 0 : min_(blocks(-at, a->stride), a->output);
}
FC_INLINE ptrdiff_t last_output(const fc_axis *a, ptrdiff_t t)
{
    return min_(blocks(max_(a->input - t * a->dilation - a->start, 0), a->stride), a->output);
}

#endif
