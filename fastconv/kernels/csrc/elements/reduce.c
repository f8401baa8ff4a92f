/* reduce.c: sums, sums of products, maxima and minima of the middle axis of x (outer, reduced, inner).
 *
 * A slice is `length` entries of the reduced axis, and y (outer, slices, inner): the binding reduces that again until
 * one slice is left. So sums are trees of a shape that only x's decides, and no chain of additions is long. NaN wins a
 * maximum and a minimum.
 */
#include "maps.h"
#include "functions.h"

enum { PIECE = FC_REDUCE_PIECE, SUMS = 8 };

FC_INLINE real start(const int kind)
{
    return kind == FC_REDUCE_max ? -(real)INFINITY : kind == FC_REDUCE_min ? (real)INFINITY : 0;
}

/* The instructions for a maximum give b where one of the two is NaN: only a's must be kept. */
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
enum { ORDERED = 7, CURRENT_ROUNDING = 4 };
typedef real number_vec __attribute__((vector_size(64)));
#if FC_DOUBLE
#define REAL_LANES(v) ((unsigned char)__builtin_ia32_cmppd512_mask(v, v, ORDERED, -1, CURRENT_ROUNDING))
#define EXTREMUM(which, a, b, lanes) __builtin_ia32_##which##pd512_mask(a, b, a, lanes, CURRENT_ROUNDING)
#else
#define REAL_LANES(v) ((unsigned short)__builtin_ia32_cmpps512_mask(v, v, ORDERED, -1, CURRENT_ROUNDING))
#define EXTREMUM(which, a, b, lanes) __builtin_ia32_##which##ps512_mask(a, b, a, lanes, CURRENT_ROUNDING)
#endif
FC_INLINE vec greater_of(vec a, vec b)
{
    const number_vec v = (number_vec)a;
    return (vec)EXTREMUM(max, v, (number_vec)b, REAL_LANES(v));
}
FC_INLINE vec smaller_of(vec a, vec b)
{
    const number_vec v = (number_vec)a;
    return (vec)EXTREMUM(min, v, (number_vec)b, REAL_LANES(v));
}
#elif defined(__SSE2__) && !defined(__clang__) && FC_BYTES < 64
FC_INLINE vec greater_of(vec a, vec b) { return select(a != a, a, (vec)FC_LIMIT(max, (limit_vec)a, (limit_vec)b)); }
FC_INLINE vec smaller_of(vec a, vec b) { return select(a != a, a, (vec)FC_LIMIT(min, (limit_vec)a, (limit_vec)b)); }
#else
FC_INLINE vec greater_of(vec a, vec b) { return select((b > a) | (b != b), b, a); }
FC_INLINE vec smaller_of(vec a, vec b) { return select((b < a) | (b != b), b, a); }
#endif

FC_INLINE vec merge(const int kind, vec a, vec b)
{
    if (kind == FC_REDUCE_max) return greater_of(a, b);
    if (kind == FC_REDUCE_min) return smaller_of(a, b);
    return a + b;
}

FC_INLINE real merge_one(const int kind, real a, real b)
{
    if (kind == FC_REDUCE_sum || kind == FC_REDUCE_products) return a + b;
    const real y = kind == FC_REDUCE_max ? (b > a ? b : a) : (b < a ? b : a); /* an instruction, no branch */
    return b != b ? b : y;
}

/* What is reduced: x, or x * b. */
FC_INLINE vec term(const int kind, const real *x, const real *b)
{
    if (kind == FC_REDUCE_products) return load(x) * load(b);
    return load(x);
}
FC_INLINE real term_one(const int kind, const real *x, const real *b)
{
    return kind == FC_REDUCE_products ? *x * *b : *x;
}

/* i ^ half for each lane i: constants, so that compilers find the shuffles. */
#define LANES_2(half) 0 ^ half, 1 ^ half
#define LANES_4(half) LANES_2(half), 2 ^ half, 3 ^ half
#define LANES_8(half) LANES_4(half), 4 ^ half, 5 ^ half, 6 ^ half, 7 ^ half
#define LANES_16(half) \
    LANES_8(half), 8 ^ half, 9 ^ half, 10 ^ half, 11 ^ half, 12 ^ half, 13 ^ half, 14 ^ half, 15 ^ half
#if FC_BYTES >> FC_DOUBLE == 64
#define EACH_LANE(half) ((ivec){LANES_16(half)})
#elif FC_BYTES >> FC_DOUBLE == 32
#define EACH_LANE(half) ((ivec){LANES_8(half)})
#elif FC_BYTES >> FC_DOUBLE == 16
#define EACH_LANE(half) ((ivec){LANES_4(half)})
#else
#define EACH_LANE(half) ((ivec){LANES_2(half)})
#endif

FC_INLINE real merge_lanes(const int kind, vec v)
{
#if defined(__clang__)
    real y = v[0];
    for (int i = 1; i < LANES; i++) y = merge_one(kind, y, v[i]);
    return y;
#else
    if (LANES > 8) v = merge(kind, v, __builtin_shuffle(v, EACH_LANE(8)));
    if (LANES > 4) v = merge(kind, v, __builtin_shuffle(v, EACH_LANE(4)));
    if (LANES > 2) v = merge(kind, v, __builtin_shuffle(v, EACH_LANE(2)));
    return merge(kind, v, __builtin_shuffle(v, EACH_LANE(1)))[0];
#endif
}

/* Of `count` elements in a row; `readable` elements, at least these, may be read. */
FC_INLINE real reduce_run(const int kind, const real *x, const real *b, ptrdiff_t count, ptrdiff_t readable)
{
    const vec none = splat(start(kind));
    if (count < LANES && readable >= LANES)
        return merge_lanes(kind, select(EACH_LANE(0) < (lane)count, term(kind, x, b), none));
    if (count < LANES) {
        real y = start(kind);
        for (ptrdiff_t i = 0; i < count; i++) y = merge_one(kind, y, term_one(kind, x + i, b + i));
        return y;
    }
    vec sums[SUMS];
    ptrdiff_t i = 0;
    FC_UNROLL(8)
    for (int v = 0; v < SUMS; v++) sums[v] = none;
    for (; i + SUMS * LANES <= count; i += SUMS * LANES) {
        FC_UNROLL(8)
        for (int v = 0; v < SUMS; v++) sums[v] = merge(kind, sums[v], term(kind, x + i + v * LANES, b + i + v * LANES));
    }
    if (i) {
        FC_UNROLL(4)
        for (int v = 0; v < SUMS / 2; v++) sums[v] = merge(kind, sums[v], sums[v + SUMS / 2]);
        sums[0] = merge(kind, merge(kind, sums[0], sums[1]), merge(kind, sums[2], sums[3]));
    }
    for (; i + LANES <= count; i += LANES) sums[0] = merge(kind, sums[0], term(kind, x + i, b + i));
    if (i < count) { /* the last vector starts early enough to be whole; what it repeats stays out */
        const lane repeated = (lane)(LANES - (count - i));
        i = count - LANES;
        sums[0] = merge(kind, sums[0], select(EACH_LANE(0) >= repeated, term(kind, x + i, b + i), none));
    }
    return merge_lanes(kind, sums[0]);
}

/* y, of `columns` elements, merged with `rows` rows; with `trees`, eight of them are merged with one another first. */
FC_INLINE void merge_rows(const int kind, const int trees, const real *x, const real *b, ptrdiff_t rows, ptrdiff_t step,
                          ptrdiff_t columns, real *y)
{
#define TREE(Merge, Term)                                                                                            \
    Merge(kind, Merge(kind, Merge(kind, Term(0), Term(1)), Merge(kind, Term(2), Term(3))),                           \
          Merge(kind, Merge(kind, Term(4), Term(5)), Merge(kind, Term(6), Term(7))))
#define TERM(row) term(kind, x + (row) * step + c, b + (row) * step + c)
#define TERM_ONE(row) term_one(kind, x + (row) * step + c, b + (row) * step + c)
    ptrdiff_t r = 0;
    for (; trees && r + 8 <= rows; r += 8, x += 8 * step, b += kind == FC_REDUCE_products ? 8 * step : 0) {
        ptrdiff_t c = 0;
        for (; c + LANES <= columns; c += LANES) store(y + c, merge(kind, load(y + c), TREE(merge, TERM)));
        for (; c < columns; c++) y[c] = merge_one(kind, y[c], TREE(merge_one, TERM_ONE));
    }
    for (; r < rows; r++, x += step, b += kind == FC_REDUCE_products ? step : 0) {
        ptrdiff_t c = 0;
        for (; c + LANES <= columns; c += LANES) store(y + c, merge(kind, load(y + c), TERM(0)));
        for (; c < columns; c++) y[c] = merge_one(kind, y[c], TERM_ONE(0));
    }
#undef TREE
#undef TERM
#undef TERM_ONE
}

/* The same for rows that lie side by side, of which whole ones fill `vectors` vectors: those stay in registers, STREAK
 * times at most, so that no chain is long. */
FC_INLINE void merge_stream(const int kind, const int vectors, const real *x, const real *b, ptrdiff_t rows,
                            ptrdiff_t columns, real *y)
{
    enum { STREAK = 64 };
    const ptrdiff_t several = vectors * LANES / columns;
    ptrdiff_t groups = rows / several;
    rows -= groups * several;
    while (groups > 0) {
        vec sums[8];
        real merged[8 * LANES];
        const ptrdiff_t streak = min_(groups, STREAK);
        FC_UNROLL(8)
        for (int v = 0; v < vectors; v++) sums[v] = splat(start(kind));
        for (ptrdiff_t g = 0; g < streak; g++, x += vectors * LANES) {
            FC_UNROLL(8)
            for (int v = 0; v < vectors; v++) sums[v] = merge(kind, sums[v], term(kind, x + v * LANES, b + v * LANES));
            if (kind == FC_REDUCE_products) b += vectors * LANES;
        }
        FC_UNROLL(8)
        for (int v = 0; v < vectors; v++) store(merged + v * LANES, sums[v]);
        merge_rows(kind == FC_REDUCE_products ? FC_REDUCE_sum : kind, 1, merged, merged, several, columns, columns, y);
        groups -= streak;
    }
    merge_rows(kind, 1, x, b, rows, columns, columns, y);
}

/* Rows that lie side by side are added up as rows of several: to fill vectors, and since memory is read best from one
 * end to the other. */
FC_INLINE void reduce_columns(const int kind, const real *x, const real *b, ptrdiff_t rows, ptrdiff_t step,
                              ptrdiff_t columns, real *y)
{
    enum { WIDE = 2 * LANES * LANES }; /* LANES rows of less than two vectors, or more rows of fewer vectors */
    for (ptrdiff_t c = 0; c < columns; c++) y[c] = start(kind);
    if (columns == step && 8 * LANES % columns == 0) {
        merge_stream(kind, 8, x, b, rows, columns, y);
        return;
    }
    const ptrdiff_t several = columns < 2 * LANES ? LANES : WIDE / columns;
    if (columns == step && several > 1) {
        real sums[WIDE];
        const ptrdiff_t wide = several * columns, groups = rows / several;
        for (ptrdiff_t c = 0; c < wide; c++) sums[c] = start(kind);
        merge_rows(kind, 0, x, b, groups, wide, wide, sums);
        merge_rows(kind == FC_REDUCE_products ? FC_REDUCE_sum : kind, 1, sums, sums, groups ? several : 0, columns,
                   columns, y);
        x += groups * wide;
        if (kind == FC_REDUCE_products) b += groups * wide;
        rows -= groups * several;
    }
    merge_rows(kind, 1, x, b, rows, step, columns, y);
}

FC_INLINE void reduce(const int kind, const fc_reduce *j, ptrdiff_t tile)
{
    const ptrdiff_t slices = blocks(j->reduced, j->length), pieces = blocks(j->inner, PIECE);
    ptrdiff_t unit = tile * j->block;
    const ptrdiff_t last = min_(unit + j->block, j->outer * slices * pieces);
    ptrdiff_t piece = unit % pieces, slice = unit / pieces % slices, outer = unit / pieces / slices;
    for (; unit < last; unit++) {
        const ptrdiff_t c = piece * PIECE;
        const ptrdiff_t first = slice * j->length, rows = min_(j->reduced - first, j->length);
        const ptrdiff_t at = (outer * j->reduced + first) * j->inner + c, columns = min_(j->inner - c, PIECE);
        const real *x = (const real *)j->x + at, *b = kind == FC_REDUCE_products ? (const real *)j->b + at : x;
        real *y = (real *)j->y + (outer * slices + slice) * j->inner + c;
        if (j->inner == 1)
            *y = reduce_run(kind, x, b, rows, j->outer * j->reduced - at);
        else
            reduce_columns(kind, x, b, rows, j->inner, columns, y);
        if (j->divisor != 1)
            for (ptrdiff_t i = 0; i < columns; i++) y[i] /= (real)j->divisor;
        if (++piece == pieces) piece = 0, slice++;
        if (slice == slices) slice = 0, outer++;
    }
}

void FC_NAME(reduce)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_reduce *j = job;
    switch (j->kind) {
    case FC_REDUCE_sum: reduce(FC_REDUCE_sum, j, tile); break;
    case FC_REDUCE_products: reduce(FC_REDUCE_products, j, tile); break;
    case FC_REDUCE_max: reduce(FC_REDUCE_max, j, tile); break;
    default: reduce(FC_REDUCE_min, j, tile);
    }
}
