/* conv_pool_back.c: gradients of a convolution whose output was max-pooled, from the winners alone.
 *
 * A window has a gradient at one position at most, and at none where ReLU cut: a quarter or less of the dense
 * arithmetic. A tap row is a run of kw * channels inputs; a register tile is a few runs of a few vectors. The kernel's
 * gradient walks, for one filter, the list of its winners, each a multiple of the runs under it; the input's gradient
 * walks, for one position, the list of the filters that won there, each a multiple of its weights. Lists are built by
 * chunks of windows whose inputs stay in the first cache; their order, and so the sums', depends on shapes alone.
 */
#include "bytes.h"
#include "sizes.h"

#include <string.h>

enum { REGISTERS = FC_BLOCK == 14 ? 24 : 12, NARROW = 4, RUNS = 6 };

/* One winner: `at` is its position's offset in x and dx, or its filter's in the packed weights. */
typedef struct {
    lane at;
    real g;
} entry;

/* sum[run][vector] += g * x[at + run * x_run + vector] over the entries; two sets of sums where registers allow, since
 * an addition waits for the one before. */
FC_INLINE void sum_tile(const ptrdiff_t runs, const ptrdiff_t vectors, const entry *e, ptrdiff_t count,
                        const real *restrict x, ptrdiff_t x_run, real *restrict sum, ptrdiff_t sum_run)
{
    enum { SETS = 2 };
    const ptrdiff_t sets = 2 * runs * vectors <= REGISTERS ? 2 : 1;
    vec acc[SETS][RUNS][REGISTERS];
    FC_UNROLL(6)
    for (ptrdiff_t r = 0; r < runs; r++)
        FC_UNROLL(24)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[0][r][v] = load(sum + r * sum_run + v * LANES);
    if (sets == 2)
        FC_UNROLL(6)
        for (ptrdiff_t r = 0; r < runs; r++)
            FC_UNROLL(24)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[1][r][v] = (vec){0};
    ptrdiff_t i = 0;
    for (; i + sets <= count; i += sets)
        FC_UNROLL(2)
        for (ptrdiff_t s = 0; s < sets; s++) {
            const real *x_e = x + e[i + s].at, g = e[i + s].g;
            FC_UNROLL(6)
            for (ptrdiff_t r = 0; r < runs; r++)
                FC_UNROLL(24)
                for (ptrdiff_t v = 0; v < vectors; v++) acc[s][r][v] += g * load(x_e + r * x_run + v * LANES);
        }
    if (sets == 2) {
        if (i < count)
            FC_UNROLL(6)
            for (ptrdiff_t r = 0; r < runs; r++)
                FC_UNROLL(24)
                for (ptrdiff_t v = 0; v < vectors; v++)
                    acc[0][r][v] += e[i].g * load(x + e[i].at + r * x_run + v * LANES);
        FC_UNROLL(6)
        for (ptrdiff_t r = 0; r < runs; r++)
            FC_UNROLL(24)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[0][r][v] += acc[1][r][v];
    }
    FC_UNROLL(6)
    for (ptrdiff_t r = 0; r < runs; r++)
        FC_UNROLL(24)
        for (ptrdiff_t v = 0; v < vectors; v++) store(sum + r * sum_run + v * LANES, acc[0][r][v]);
}

typedef void tile_function(const entry *, ptrdiff_t, const real *, ptrdiff_t, real *, ptrdiff_t);
#define TILE(runs, vectors)                                                                                          \
    static void tile_##runs##x##vectors(const entry *e, ptrdiff_t count, const real *x, ptrdiff_t x_run, real *sum,   \
                                        ptrdiff_t sum_run)                                                           \
    {                                                                                                                \
        sum_tile(runs, vectors, e, count, x, x_run, sum, sum_run);                                                   \
    }
#define WIDE(X) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12)
#define WIDER(X)                                                                                                     \
    X(1, 13) X(1, 14) X(1, 15) X(1, 16) X(1, 17) X(1, 18) X(1, 19) X(1, 20) X(1, 21) X(1, 22) X(1, 23) X(1, 24)
#define NARROWS(X)                                                                                                   \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(2, 1) X(2, 2) X(2, 3) X(2, 4) X(3, 1) X(3, 2) X(3, 3) X(3, 4) X(4, 1) X(4, 2)   \
    X(4, 3) X(5, 1) X(5, 2) X(6, 1) X(6, 2)
#define NARROWS_MORE(X) X(4, 4) X(5, 3) X(5, 4) X(6, 3) X(6, 4)
#define ENTRY(runs, vectors) [runs - 1][vectors - 1] = tile_##runs##x##vectors,
NARROWS(TILE)
WIDE(TILE)
#if FC_BLOCK == 14
NARROWS_MORE(TILE)
WIDER(TILE)
#endif
static tile_function *const tile_functions[RUNS][REGISTERS] = {
    NARROWS(ENTRY) WIDE(ENTRY)
#if FC_BLOCK == 14
    NARROWS_MORE(ENTRY) WIDER(ENTRY)
#endif
};

/* How the taps of one depth are cut into register tiles: blocks of `runs` tap rows, or pieces of one row's vectors. */
typedef struct {
    ptrdiff_t width, vectors;     /* of a run: whole vectors */
    ptrdiff_t pieces, run_blocks; /* one of them is 1 */
} cut;

FC_INLINE cut cut_of(const fc_axis axis[3], ptrdiff_t channels)
{
    const ptrdiff_t vectors = blocks(axis[2].taps * channels, LANES);
    const ptrdiff_t runs = vectors <= NARROW ? min_(RUNS, REGISTERS / vectors) : 1;
    return (cut){vectors * LANES, vectors, blocks(vectors, REGISTERS), blocks(axis[1].taps, runs)};
}

/* The inputs under a chunk of windows: x itself, or a copy with zeros for the padding and whole vectors at its end. */
typedef struct {
    ptrdiff_t start[3], size[3]; /* in x, and how many cells */
    ptrdiff_t depth, row, pixel; /* steps */
    int inside;                  /* the cells lie in x, and so do the runs' whole vectors */
} field;

FC_INLINE field field_of(const fc_conv_pool_back *j, ptrdiff_t d, ptrdiff_t depths, ptrdiff_t row, ptrdiff_t rows)
{
    const ptrdiff_t first[3] = {d, row, 0}, count[3] = {depths, rows, j->output[2]};
    field f = {.inside = j->axis[2].taps * j->channels % LANES == 0, .pixel = j->channels};
    for (int i = 0; i < 3; i++) {
        const fc_axis *a = &j->axis[i];
        f.start[i] = first[i] * j->pool[i] * a->stride + a->start;
        f.size[i] = (count[i] * j->pool[i] - 1) * a->stride + (a->taps - 1) * a->dilation + 1;
        f.inside &= f.start[i] >= 0 && f.start[i] + f.size[i] <= a->input;
    }
    f.row = (f.inside ? j->axis[2].input : f.size[2]) * f.pixel;
    f.depth = (f.inside ? j->axis[1].input : f.size[1]) * f.row;
    return f;
}

/* Bytes of the copy of a field. */
FC_INLINE ptrdiff_t field_size(const fc_conv_pool_back *j, ptrdiff_t depths, ptrdiff_t rows)
{
    const ptrdiff_t count[3] = {depths, rows, j->output[2]};
    ptrdiff_t size = j->channels;
    for (int i = 0; i < 3; i++) {
        const fc_axis *a = &j->axis[i];
        size = FC_PRODUCT(size, (count[i] * j->pool[i] - 1) * a->stride + (a->taps - 1) * a->dilation + 1);
    }
    return FC_PRODUCT(size + LANES, sizeof(real));
}

/* Moves the field's cells that lie in x between x and the copy; the others are left as they are. */
FC_INLINE void copy_field(const fc_conv_pool_back *j, const field *f, real *x, real *copy, const int back)
{
    const ptrdiff_t left = max_(0, -f->start[2]), right = min_(f->size[2], j->axis[2].input - f->start[2]);
    for (ptrdiff_t d = 0; d < f->size[0]; d++)
        for (ptrdiff_t h = 0; h < f->size[1]; h++) {
            const ptrdiff_t id = f->start[0] + d, ih = f->start[1] + h;
            if (id < 0 || id >= j->axis[0].input || ih < 0 || ih >= j->axis[1].input || left >= right) continue;
            const ptrdiff_t iw = f->start[2] + left;
            real *to = copy + d * f->depth + h * f->row + left * f->pixel;
            real *from = x + ((id * j->axis[1].input + ih) * j->axis[2].input + iw) * f->pixel;
            memcpy(back ? from : to, back ? to : from, (right - left) * f->pixel * sizeof(real));
        }
}

/* The offset in a field of each tap of a window; 0 for an index that is no tap. */
FC_INLINE void window_offsets(const fc_conv_pool_back *j, const field *f, lane at[256])
{
    memset(at, 0, 256 * sizeof *at);
    for (ptrdiff_t d = 0, tap = 0; d < j->pool[0]; d++)
        for (ptrdiff_t h = 0; h < j->pool[1]; h++)
            for (ptrdiff_t w = 0; w < j->pool[2]; w++, tap++)
                at[tap] = (lane)(d * j->axis[0].stride * f->depth + h * j->axis[1].stride * f->row
                                 + w * j->axis[2].stride * f->pixel);
}

/* Of one filter's list. */
FC_INLINE ptrdiff_t list_size(const fc_conv_pool_back *j) { return FC_PRODUCT(j->rows, j->output[2], sizeof(entry)); }

ptrdiff_t FC_NAME(conv_pool_backward_kernel_size)(const void *job)
{
    const fc_conv_pool_back *j = job;
    return FC_PRODUCT(j->part, sizeof(ptrdiff_t) + list_size(j)) + field_size(j, 1, j->rows);
}

void FC_NAME(conv_pool_backward_kernel)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_conv_pool_back *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t parts = blocks(j->filters, j->part), k0 = index % parts * j->part, slice = index / parts;
    const ptrdiff_t filters = min_(j->filters - k0, j->part), row_blocks = blocks(j->output[1], j->rows);
    const ptrdiff_t chunks = j->batch * j->output[0] * row_blocks, most = j->rows * j->output[2];
    const cut q = cut_of(j->axis, j->channels);
    const ptrdiff_t size = D->taps * H->taps * q.width;
    real *partial = (real *)j->partial + (slice * j->filters + k0) * size;
    ptrdiff_t *counts = scratch;
    entry *entries = (entry *)(counts + j->part);
    real *copy = (real *)(entries + j->part * most);
    memset(partial, 0, filters * size * sizeof(real));

    for (ptrdiff_t c = chunks * slice / j->slices; c < chunks * (slice + 1) / j->slices; c++) {
        const ptrdiff_t row = c % row_blocks * j->rows, d = c / row_blocks % j->output[0];
        const ptrdiff_t n = c / row_blocks / j->output[0], rows = min_(j->output[1] - row, j->rows);
        const field f = field_of(j, d, 1, row, rows);
        real *x_n = (real *)j->x + n * D->input * H->input * W->input * f.pixel, *x = copy;
        if (f.inside) {
            x = x_n + f.start[0] * f.depth + f.start[1] * f.row + f.start[2] * f.pixel;
        } else {
            memset(copy, 0, (f.size[0] * f.depth + LANES) * sizeof(real));
            copy_field(j, &f, x_n, copy, 0);
        }
        lane offsets[256];
        window_offsets(j, &f, offsets);
        memset(counts, 0, filters * sizeof *counts);
        const ptrdiff_t at = ((n * j->output[0] + d) * j->output[1] + row) * j->output[2] * j->filters + k0;
        const real *dy = (const real *)j->dy + at;
        const uint8_t *won = (const uint8_t *)j->index + at;
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t w = 0; w < j->output[2]; w++, dy += j->filters, won += j->filters) {
                const lane here = (lane)(r * j->pool[1] * H->stride * f.row + w * j->pool[2] * W->stride * f.pixel);
                for (ptrdiff_t k = 0; k < filters; k++) {
                    entries[k * most + counts[k]] = (entry){here + offsets[won[k]], dy[k]};
                    counts[k] += (dy[k] != 0) & (won[k] != FC_CUT);
                }
            }
        for (ptrdiff_t k = 0; k < filters; k++)
            for (ptrdiff_t td = 0; td < D->taps; td++)
                for (ptrdiff_t b = 0, th = 0; b < q.run_blocks; b++) {
                    const ptrdiff_t runs = (H->taps + b) / q.run_blocks;
                    for (ptrdiff_t p = 0, v = 0; p < q.pieces; p++) {
                        const ptrdiff_t vectors = (q.vectors + p) / q.pieces;
                        const real *x_t = x + td * D->dilation * f.depth + th * H->dilation * f.row + v * LANES;
                        real *sum = partial + k * size + (td * H->taps + th) * q.width + v * LANES;
                        tile_functions[runs - 1][vectors - 1](entries + k * most, counts[k], x_t, H->dilation * f.row,
                                                              sum, q.width);
                        v += vectors;
                    }
                    th += runs;
                }
    }
}

/* dkernel[tap][channel][filter] of one filter = the slices' sum, in their order. */
void FC_NAME(conv_pool_reduce_kernel)(const void *job, ptrdiff_t k, void *scratch)
{
    (void)scratch;
    const fc_conv_pool_back *j = job;
    const ptrdiff_t run = j->axis[2].taps * j->channels, rows = j->axis[0].taps * j->axis[1].taps;
    const ptrdiff_t width = cut_of(j->axis, j->channels).width, size = rows * width;
    real *to = (real *)j->dkernel + k;
    for (ptrdiff_t r = 0; r < rows; r++)
        for (ptrdiff_t i = 0; i < run; i++) {
            const real *from = (const real *)j->partial + k * size + r * width + i;
            real sum = from[0];
            for (ptrdiff_t s = 1; s < j->slices; s++) sum += from[s * j->filters * size];
            to[(r * run + i) * j->filters] = sum;
        }
}

/* packed[filter][tap row][kw * channels], padded to whole vectors, of one filter. */
void FC_NAME(conv_pool_pack)(const void *job, ptrdiff_t k, void *scratch)
{
    (void)scratch;
    const fc_conv_pool_back *j = job;
    const ptrdiff_t run = j->axis[2].taps * j->channels, rows = j->axis[0].taps * j->axis[1].taps;
    const ptrdiff_t width = cut_of(j->axis, j->channels).width;
    const real *from = (const real *)j->weights + k;
    real *to = (real *)j->packed + k * rows * width;
    for (ptrdiff_t r = 0; r < rows; r++, to += width) {
        for (ptrdiff_t i = 0; i < run; i++) to[i] = from[(r * run + i) * j->filters];
        for (ptrdiff_t i = run; i < width; i++) to[i] = 0;
    }
}

/* The filters that won each tap of each window of a chunk: lists[window][tap][filter], counts[window][tap]. */
FC_INLINE void list_filters(const fc_conv_pool_back *j, ptrdiff_t windows, ptrdiff_t taps, ptrdiff_t packed,
                            const real *dy, const uint8_t *won, entry *lists, int32_t *counts)
{
    memset(counts, 0, windows * taps * sizeof *counts);
    for (ptrdiff_t w = 0; w < windows; w++, dy += j->filters, won += j->filters)
        for (ptrdiff_t k = 0; k < j->filters; k++) {
            const ptrdiff_t list = w * taps + (won[k] < taps ? won[k] : 0);
            lists[list * j->filters + counts[list]] = (entry){(lane)(k * packed), dy[k]};
            counts[list] += (dy[k] != 0) & (won[k] != FC_CUT);
        }
}

/* Numbers of the entries of all lists of a chunk: one a position, an even number of them. */
FC_INLINE ptrdiff_t counts_of(const fc_conv_pool_back *j)
{
    return blocks(FC_PRODUCT(j->rows, j->output[2], j->pool[0], j->pool[1], j->pool[2]), 2) * 2;
}

ptrdiff_t FC_NAME(conv_pool_backward_input_size)(const void *job)
{
    const fc_conv_pool_back *j = job;
    return FC_PRODUCT(counts_of(j), FC_PRODUCT(j->filters, sizeof(entry)) + (ptrdiff_t)sizeof(int32_t))
         + field_size(j, j->output[0], j->output[1]);
}

void FC_NAME(conv_pool_backward_input)(const void *job, ptrdiff_t n, void *scratch)
{
    const fc_conv_pool_back *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t taps = j->pool[0] * j->pool[1] * j->pool[2], most = j->rows * j->output[2];
    const cut q = cut_of(j->axis, j->channels);
    const ptrdiff_t packed = D->taps * H->taps * q.width, cells = D->input * H->input * W->input * j->channels;
    const field f = field_of(j, 0, j->output[0], 0, j->output[1]);
    entry *lists = scratch;
    int32_t *counts = (int32_t *)(lists + most * taps * j->filters);
    real *copy = (real *)(counts + counts_of(j)), *dx_n = (real *)j->dx + n * cells, *dx = copy;
    memset(dx_n, 0, cells * sizeof(real));
    if (f.inside)
        dx = dx_n + f.start[0] * f.depth + f.start[1] * f.row + f.start[2] * f.pixel;
    else
        memset(copy, 0, (f.size[0] * f.depth + LANES) * sizeof(real));
    lane offsets[256];
    window_offsets(j, &f, offsets);

    for (ptrdiff_t d = 0; d < j->output[0]; d++)
        for (ptrdiff_t row = 0; row < j->output[1]; row += j->rows) {
            const ptrdiff_t rows = min_(j->output[1] - row, j->rows), windows = rows * j->output[2];
            const ptrdiff_t at = ((n * j->output[0] + d) * j->output[1] + row) * j->output[2] * j->filters;
            list_filters(j, windows, taps, packed, (const real *)j->dy + at, (const uint8_t *)j->index + at, lists, counts);
            real *dx_c = dx + d * j->pool[0] * D->stride * f.depth + row * j->pool[1] * H->stride * f.row;
            for (ptrdiff_t td = 0; td < D->taps; td++)
                for (ptrdiff_t b = 0, th = 0; b < q.run_blocks; b++) {
                    const ptrdiff_t runs = (H->taps + b) / q.run_blocks;
                    for (ptrdiff_t p = 0, v = 0; p < q.pieces; p++) {
                        const ptrdiff_t vectors = (q.vectors + p) / q.pieces;
                        const real *w_t = (const real *)j->packed + (td * H->taps + th) * q.width + v * LANES;
                        real *dx_t = dx_c + td * D->dilation * f.depth + th * H->dilation * f.row + v * LANES;
                        for (ptrdiff_t list = 0; list < windows * taps; list++) {
                            const ptrdiff_t w = list / taps, r = w / j->output[2], c = w % j->output[2];
                            if (!counts[list]) continue;
                            real *to = dx_t + r * j->pool[1] * H->stride * f.row + c * j->pool[2] * W->stride * f.pixel
                                     + offsets[list % taps];
                            tile_functions[runs - 1][vectors - 1](lists + list * j->filters, counts[list], w_t, q.width,
                                                                  to, H->dilation * f.row);
                        }
                        v += vectors;
                    }
                    th += runs;
                }
        }
    if (!f.inside) copy_field(j, &f, dx_n, copy, 1);
}

FC_INLINE void sum_winners(const real *dy, const uint8_t *won, ptrdiff_t count, ptrdiff_t width, const int vectors, real *y)
{
    vec sums[WIDE] = {{0}};
    for (ptrdiff_t r = 0; r < count; r++, dy += width, won += width)
        FC_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sums[v] += (vec)((ivec)load(dy + v * LANES) & (unpack_bytes(won + v * LANES) != FC_CUT));
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) store(y + v * LANES, sums[v]);
}

/* The sum of a block's rows, in row `tile` of y: bias_backward (rows.c) without the windows that ReLU cut. */
void FC_NAME(conv_pool_backward_bias)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    const ptrdiff_t first = tile * j->block, count = min_(j->rows - first, j->block), width = j->width;
    const real *dy = (const real *)j->a + first * width;
    const uint8_t *won = (const uint8_t *)j->b + first * width;
    real *y = (real *)j->y + tile * width;
    ptrdiff_t c = 0;
    for (; c + WIDE * LANES <= width; c += WIDE * LANES) sum_winners(dy + c, won + c, count, width, WIDE, y + c);
    for (; c + LANES <= width; c += LANES) sum_winners(dy + c, won + c, count, width, 1, y + c);
    for (; c < width; c++) {
        real sum = 0;
        for (ptrdiff_t r = 0; r < count; r++) sum += won[r * width + c] != FC_CUT ? dy[r * width + c] : 0;
        y[c] = sum;
    }
}
