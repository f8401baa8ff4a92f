/* winograd_kernel.c: the kernel's gradient by Winograd: dW = G' [sum over tiles of (B' d) (outer) (A dY)] G, by axis.
 *
 * Three stages over a range of Winograd tiles: winograd_transform brings both sides to [point][tile][channel or filter];
 * winograd_multiply adds, for each point, their outer products, tiles being the reduction; after the last range
 * winograd_reduce transforms the sums back. Tiles are added in their order, whatever cuts the work.
 */
#include "winograd_tiles.h"

enum { CHUNK = 128 }; /* tiles that are added up from zero: in one long sum small terms would drown in large ones */

/* sum (rows, vectors) = or += the sum over tiles of a[tile][row] b[tile][vectors] */
FC_INLINE void outer_tile(const ptrdiff_t rows, const ptrdiff_t vectors, ptrdiff_t tiles, const real *restrict a,
                          ptrdiff_t a_tile, const real *restrict b, ptrdiff_t b_tile, real *restrict sum,
                          ptrdiff_t sum_row, int add)
{
    vec acc[BLOCK][VECTORS];
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < rows; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = (vec){0};
    for (ptrdiff_t t = 0; t < tiles; t++, a += a_tile, b += b_tile) {
        vec b_t[VECTORS];
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) b_t[v] = load(b + v * LANES);
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < rows; m++) {
            const real a_m = a[m];
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += a_m * b_t[v];
        }
    }
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < rows; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) {
            real *to = sum + m * sum_row + v * LANES;
            if (add) acc[m][v] += load(to);
            store(to, acc[m][v]);
        }
}

typedef void tile_function(ptrdiff_t, const real *, ptrdiff_t, const real *, ptrdiff_t, real *, ptrdiff_t, int);
#define TILE(rows, vectors)                                                                                          \
    static void tile_##rows##x##vectors(ptrdiff_t tiles, const real *a, ptrdiff_t a_tile, const real *b,              \
                                        ptrdiff_t b_tile, real *sum, ptrdiff_t sum_row, int add)                     \
    {                                                                                                                \
        outer_tile(rows, vectors, tiles, a, a_tile, b, b_tile, sum, sum_row, add);                                   \
    }
#include "tile_table.h"

/* Tiles whose inputs are transformed for the range. */
FC_INLINE ptrdiff_t range_inputs(const fc_winograd_kernel *j)
{
    return j->count + tiles_after(j->axis, j->pieces);
}

/* to[point][t][filter] = the transformed output gradients of tiles `first` to `first + count`, in memory for the range. */
FC_INLINE void transform_gradients(const int fd, const int fh, const int fw, const fc_winograd_kernel *j,
                                   ptrdiff_t first, ptrdiff_t count, real *restrict to)
{
    const ptrdiff_t K = j->filters, width = blocks(K, LANES) * LANES, next = plane(j->count, K), pixel = j->groups * K;
    const ptrdiff_t size[3] = {j->axis[0].output, j->axis[1].output, j->axis[2].output};
    const ptrdiff_t step[3] = {j->axis[0].dilation, j->axis[1].dilation, j->axis[2].dilation};
    const int points = POINTS[fd] * POINTS[fh] * POINTS[fw];
    for (ptrdiff_t t = 0; t < count; t++) {
        const place p = place_of(j->axis, j->tiles, j->outputs, first + t);
        const real *dy_n = (const real *)j->dy + p.n * size[0] * size[1] * size[2] * pixel;
        for (ptrdiff_t k = 0; k < K; k += LANES) {
            vec a[MAX_POINTS], b[MAX_POINTS];
            load_box(OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw], size, p.at, step, pixel, dy_n + k, min_(K - k, LANES), a);
            const vec *v = transform_box(OUTPUT_BACK, fd, fh, fw, a, b);
            real *out = to + t * width + k;
            for (int i = 0; i < points; i++) store(out + i * next, v[i]);
        }
    }
}

/* dkernel[taps][channel][filters] of one channel, counted over pieces, from the sums. */
FC_INLINE void reduce(const int fd, const int fh, const int fw, const fc_winograd_kernel *j, ptrdiff_t row)
{
    const ptrdiff_t C = j->channels, K = j->filters, lanes = blocks(K, LANES) * LANES, rows = j->pieces * C;
    const ptrdiff_t before = fw == F44 ? row / C * TAPS[fw] : 0, c = fw == F44 ? row % C : row;
    const int points = POINTS[fd] * POINTS[fh] * POINTS[fw];
    const ptrdiff_t taps = fw == F44 ? min_(TAPS[fw], j->axis[2].taps - before) : TAPS[fd] * TAPS[fh] * TAPS[fw];
    for (ptrdiff_t k = 0; k < K; k += LANES) {
        vec a[MAX_POINTS], b[MAX_POINTS];
        for (int i = 0; i < points; i++) a[i] = load((const real *)j->sums + (i * rows + row) * lanes + k);
        const vec *w = transform_box(KERNEL_BACK, fd, fh, fw, a, b);
        for (ptrdiff_t i = 0; i < taps; i++)
            store_part((real *)j->dkernel + ((before + i) * C + c) * j->groups * K + k, w[i], min_(K - k, LANES));
    }
}

/* What a combination does, in the order of winograd_variants. */
typedef struct {
    void (*gradients)(const fc_winograd_kernel *, ptrdiff_t, ptrdiff_t, real *);
    void (*reduce)(const fc_winograd_kernel *, ptrdiff_t);
} stages;

#define FUNCTIONS(d, h, w)                                                                                           \
    static void gradients_##d##h##w(const fc_winograd_kernel *j, ptrdiff_t first, ptrdiff_t count, real *to)          \
    {                                                                                                                \
        transform_gradients(d, h, w, j, first, count, to);                                                            \
    }                                                                                                                \
    static void reduce_##d##h##w(const fc_winograd_kernel *j, ptrdiff_t c) { reduce(d, h, w, j, c); }
FC_WINOGRAD(FUNCTIONS)
#define STAGES(d, h, w) {gradients_##d##h##w, reduce_##d##h##w},
static const stages stages_of[] = {FC_WINOGRAD(STAGES)};

static int number_of(const fc_winograd_kernel *j) { return FC_NAME(winograd_variant)(j->axis, j->outputs, j->pieces); }

/* NULL: there is none. */
static const variant *variant_of(const fc_winograd_kernel *j)
{
    const int number = number_of(j);
    return number < 0 ? NULL : &FC_NAME(winograd_variants)[number];
}

/* The job of group `g`. */
static fc_winograd_kernel of_group(const void *job, ptrdiff_t g)
{
    fc_winograd_kernel j = *(const fc_winograd_kernel *)job;
    const int *filters = variant_of(job)->filters;
    const ptrdiff_t sums = points_of(filters) * j.pieces * j.channels * blocks(j.filters, LANES) * LANES;
    j.x = (const real *)j.x + g * j.channels;
    j.dy = (const real *)j.dy + g * j.filters;
    j.dkernel = (real *)j.dkernel + g * j.filters;
    j.inputs = (char *)j.inputs + g * planes_size(filters, range_inputs(job), j.channels);
    j.gradients = (char *)j.gradients + g * planes_size(filters, j.count, j.filters);
    j.sums = (real *)j.sums + g * sums;
    return j;
}

/* Of a range of `count` tiles: the transformed inputs and gradients; and of the sums. */
ptrdiff_t FC_NAME(winograd_transform_size)(const void *job)
{
    const fc_winograd_kernel *j = job;
    const variant *v = variant_of(j);
    return v ? FC_PRODUCT(j->groups, planes_size(v->filters, range_inputs(j), j->channels)) : -1;
}

ptrdiff_t FC_NAME(winograd_gradients_size)(const void *job)
{
    const fc_winograd_kernel *j = job;
    const variant *v = variant_of(j);
    return v ? FC_PRODUCT(j->groups, planes_size(v->filters, j->count, j->filters)) : -1;
}

ptrdiff_t FC_NAME(winograd_sums_size)(const void *job)
{
    const fc_winograd_kernel *j = job;
    const variant *v = variant_of(j);
    return v ? FC_PRODUCT(j->groups, points_of(v->filters), j->pieces, j->channels, blocks(j->filters, LANES), sizeof(vec)) : -1;
}

void FC_NAME(winograd_transform)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const ptrdiff_t shares = blocks(range_inputs(job), ((const fc_winograd_kernel *)job)->block);
    const fc_winograd_kernel own = of_group(job, index / shares), *j = &own;
    const ptrdiff_t t = index % shares * j->block, count = min_(j->count - t, j->block);
    variant_of(j)->inputs(j->axis, j->tiles, j->channels, j->groups * j->channels, j->x, range_inputs(j), j->first + t,
                          min_(range_inputs(j) - t, j->block), (real *)j->inputs + t * blocks(j->channels, LANES) * LANES);
    if (count > 0)
        stages_of[number_of(j)].gradients(j, j->first + t, count,
                                          (real *)j->gradients + t * blocks(j->filters, LANES) * LANES);
}

void FC_NAME(winograd_multiply)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_winograd_kernel *whole = job;
    const ptrdiff_t parts = blocks(whole->channels, whole->part);
    const ptrdiff_t each = points_of(variant_of(whole)->filters) * whole->pieces * parts;
    const fc_winograd_kernel own = of_group(job, index / each), *j = &own;
    const ptrdiff_t planes = index % each / parts, from = index % parts * j->part;
    const ptrdiff_t point = planes / j->pieces, piece = planes % j->pieces;
    const ptrdiff_t channels = min_(j->channels - from, j->part), cuts = blocks(channels, BLOCK);
    const ptrdiff_t a_tile = blocks(j->channels, LANES) * LANES, lanes = blocks(j->filters, LANES) * LANES;
    const real *a = (const real *)j->inputs + point * plane(range_inputs(j), j->channels)
                    + piece * tiles_after(j->axis, 2) * a_tile + from;
    const real *b = (const real *)j->gradients + point * plane(j->count, j->filters);
    real *sum = (real *)j->sums + (planes * j->channels + from) * lanes;
    for (ptrdiff_t t = 0; t < j->count; t += CHUNK)
        for (ptrdiff_t k = 0; k < lanes; k += PANEL)
            for (ptrdiff_t i = 0, c = 0; i < cuts; i++) { /* they differ by one channel at most */
                const ptrdiff_t rows = (channels + i) / cuts;
                tile_functions[rows - 1][min_(lanes - k, PANEL) / LANES - 1](
                    min_(j->count - t, CHUNK), a + t * a_tile + c, a_tile, b + t * lanes + k, lanes,
                    sum + c * lanes + k, lanes, j->first + t > 0);
                c += rows;
            }
}

void FC_NAME(winograd_reduce)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_winograd_kernel *whole = job;
    const ptrdiff_t rows = whole->pieces * whole->channels;
    const fc_winograd_kernel own = of_group(job, index / rows);
    stages_of[number_of(job)].reduce(&own, index % rows);
}
