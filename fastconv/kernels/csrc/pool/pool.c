/* pool.c: max and average pooling and their gradients; vectors run over channels, one tile is a block of rows of what
 * is written. Global pooling is the window that covers its input.
 *
 * The work on one window is written once, over loops of taps whose counts are constants in a copy for each usual
 * size. Gradients: where windows do not overlap, each is read once a row and spread over its cells; elsewhere a cell
 * gathers from the windows over it. Either way dx is written once, needs no zeros before and no atomics.
 */
#include "bytes.h"
#include "far.h"

#include <string.h>

/* work(channel, vectors, lanes, ...) for all channels: WIDE vectors at a time, then one. The last vector starts early
 * enough to be whole, and writes some channels twice; only fewer channels than a vector has lanes leave it a part. */
#define FOR_CHANNELS(C, work, ...)                                                                                 \
    do {                                                                                                           \
        ptrdiff_t channel_ = 0;                                                                                    \
        for (; channel_ + WIDE * LANES <= (C); channel_ += WIDE * LANES) work(channel_, WIDE, LANES, __VA_ARGS__); \
        for (; channel_ + LANES <= (C); channel_ += LANES) work(channel_, 1, LANES, __VA_ARGS__);                  \
        if (channel_ < (C) && (C) > LANES)                                                                         \
            work((C) - LANES, 1, LANES, __VA_ARGS__);                                                              \
        else if (channel_ < (C))                                                                                   \
            work(0, 1, C, __VA_ARGS__);                                                                            \
    } while (0)

/* work(depths, rows, columns, ...) with the counts of taps as constants for the usual windows. */
#define FOR_TAPS(depths, rows, columns, work, ...)               \
    do {                                                         \
        if ((depths) == 1 && (rows) == 2 && (columns) == 2)      \
            work(1, 2, 2, __VA_ARGS__);                          \
        else if ((depths) == 1 && (rows) == 3 && (columns) == 3) \
            work(1, 3, 3, __VA_ARGS__);                          \
        else if ((depths) == 1 && (rows) == 1 && (columns) == 2) \
            work(1, 1, 2, __VA_ARGS__);                          \
        else if ((depths) == 1 && (rows) == 1 && (columns) == 3) \
            work(1, 1, 3, __VA_ARGS__);                          \
        else if ((depths) == 2 && (rows) == 2 && (columns) == 2) \
            work(2, 2, 2, __VA_ARGS__);                          \
        else                                                     \
            work(depths, rows, columns, __VA_ARGS__);            \
    } while (0)

/* Asks for the lines of some vectors that come into play soon. Hardware looks ahead too, but only to the end of a page,
 * and rows are about as long as a page. */
enum { PAGE = 4096 / sizeof(real), LINE_VECTORS = 64 / FC_BYTES };
FC_INLINE void soon(const int write, const real *p, int vectors)
{
    for (int v = 0; v < vectors; v += LINE_VECTORS)
        if (write)
            __builtin_prefetch(p + v * LANES, 1);
        else
            __builtin_prefetch(p + v * LANES, 0);
}

/* The taps of one window that read inside the input: `first` to `last` - 1; tap 0 lies over cell `at`. */
typedef struct {
    ptrdiff_t at, first, last;
} taps;

/* Cells of an axis without a stride are cut into bins, which may share a cell with their neighbours. Loops over single
 * cells exist for STRIDED axes alone too, since the question would cost them a fifth of their time. */
enum { STRIDED, ANY };
FC_INLINE int has_bins(const int kind, const fc_axis *a) { return kind == ANY && !a->stride; }

FC_INLINE ptrdiff_t first_cell(const int kind, const fc_axis *a, ptrdiff_t o)
{
    return has_bins(kind, a) ? o * a->input / a->output : o * a->stride + a->start;
}
FC_INLINE taps taps_inside(const int kind, const fc_axis *a, ptrdiff_t o)
{
    const ptrdiff_t at = first_cell(kind, a, o);
    if (has_bins(kind, a)) return (taps){at, 0, blocks((o + 1) * a->input, a->output) - at};
    return (taps){at, max_(-at, 0), min_(a->taps, a->input - at)};
}
FC_INLINE taps window_taps(const fc_axis *a, ptrdiff_t o) { return taps_inside(ANY, a, o); }
FC_INLINE ptrdiff_t cells(const int kind, const fc_axis *a, ptrdiff_t o)
{
    const taps t = taps_inside(kind, a, o);
    return t.last - t.first;
}

/* Past the last of the windows from `o` on that have the same taps inside as `o`. */
FC_INLINE ptrdiff_t alike(const fc_axis *a, ptrdiff_t o)
{
    if (!a->stride || cells(ANY, a, o) < a->taps) return o + 1;
    return min_((a->input - a->taps - a->start) / a->stride + 1, a->output);
}

/* The windows over input cell `i`: `first` to `last` - 1. */
typedef struct {
    ptrdiff_t first, last;
} windows;

FC_INLINE windows windows_over(const int kind, const fc_axis *a, ptrdiff_t i)
{
    if (has_bins(kind, a)) return (windows){i * a->output / a->input, blocks((i + 1) * a->output, a->input)};
    const ptrdiff_t at = i - a->start - a->taps + 1;
    return (windows){at > 0 ? blocks(at, a->stride) : 0, min_((i - a->start) / a->stride + 1, a->output)};
}

FC_INLINE int overlapping(const fc_pool *j)
{
    return j->axis[0].stride < j->axis[0].taps || j->axis[1].stride < j->axis[1].taps
           || j->axis[2].stride < j->axis[2].taps;
}

FC_INLINE int kind_of(const fc_pool *j)
{
    return j->axis[0].stride && j->axis[1].stride && j->axis[2].stride ? STRIDED : ANY;
}

/* A row of the array that is written: its sample and its place on the axes of depth and height. */
typedef struct {
    ptrdiff_t n, d, h;
} place;

FC_INLINE place place_of(ptrdiff_t row, ptrdiff_t depth, ptrdiff_t height)
{
    return (place){row / height / depth, row / height % depth, row % height};
}

/* The part of a window that lies inside: counts of taps and the elements between them. */
typedef struct {
    ptrdiff_t depths, rows, columns, depth_step, row_step, pixel;
} part;

FC_INLINE part part_of(const fc_pool *j, ptrdiff_t depths, ptrdiff_t rows)
{
    const ptrdiff_t C = j->channels, row = j->axis[2].input * C;
    return (part){depths, rows, 0, j->axis[1].input * row, row, C};
}

typedef void row_function(const fc_pool *j, ptrdiff_t row);

FC_INLINE void each_row(const void *job, ptrdiff_t tile, ptrdiff_t rows, row_function *work)
{
    const fc_pool *j = job;
    const ptrdiff_t last = min_((tile + 1) * j->rows, rows);
    for (ptrdiff_t row = tile * j->rows; row < last; row++) work(j, row);
    if (j->far) far_done();
}

FC_INLINE ptrdiff_t output_rows(const fc_pool *j) { return j->batch * j->axis[0].output * j->axis[1].output; }
FC_INLINE ptrdiff_t input_rows(const fc_pool *j) { return j->batch * j->axis[0].input * j->axis[1].input; }

FC_INLINE void zeros(real *y, ptrdiff_t count)
{
    if (count > 0) memset(y, 0, count * sizeof(real));
}

#define MAX_NAME(name) name
#define INDEX uint8_t
#include "pool_max.h"
#undef MAX_NAME
#undef INDEX
#define MAX_NAME(name) name##_wide
#define INDEX int32_t
#include "pool_max.h"

/* ---- average ---- */

FC_INLINE void average_window(ptrdiff_t c, int vectors, ptrdiff_t lanes, part p, ptrdiff_t next, real taps,
                              const real *x, real *y)
{
    x += c, y += c;
    vec sum[WIDE] = {{0}};
    for (ptrdiff_t d = 0; d < p.depths; d++)
        for (ptrdiff_t h = 0; h < p.rows; h++)
            for (ptrdiff_t w = 0; w < p.columns; w++) {
                const real *x_tap = x + d * p.depth_step + h * p.row_step + w * p.pixel;
                soon(0, x_tap + next, vectors);
    FC_UNROLL(4)
                for (int v = 0; v < vectors; v++) sum[v] += load_part(x_tap + v * LANES, lanes);
            }
    soon(1, y + PAGE, vectors);
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) store_part(y + v * LANES, sum[v] / taps, lanes);
}

/* `count` windows side by side, `x_step` between their first cells, with so many taps inside. */
FC_INLINE void average_columns(const ptrdiff_t depths, const ptrdiff_t rows, const ptrdiff_t columns, const part *steps,
                               ptrdiff_t next, ptrdiff_t count, ptrdiff_t x_step, const real *x, real *y)
{
    const ptrdiff_t C = steps->pixel;
    const part p = {depths, rows, columns, steps->depth_step, steps->row_step, C};
    const real taps = (real)(depths * rows * columns);
    for (const real *end = y + count * C; y < end; x += x_step, y += C)
        FOR_CHANNELS(C, average_window, p, next, taps, x, y);
}

static void average_forward_row(const fc_pool *j, ptrdiff_t row)
{
    const fc_axis *W = &j->axis[2];
    const ptrdiff_t C = j->channels;
    const place o = place_of(row, j->axis[0].output, j->axis[1].output);
    const taps td = window_taps(&j->axis[0], o.d), th = window_taps(&j->axis[1], o.h);
    const part all = part_of(j, td.last - td.first, th.last - th.first);
    const real *x_row = (const real *)j->x + o.n * j->axis[0].input * all.depth_step
                      + (td.at + td.first) * all.depth_step + (th.at + th.first) * all.row_step;
    real *y = (real *)j->y + row * W->output * C;
    const fc_axis *H = &j->axis[1];
    const ptrdiff_t next = min_(H->stride, H->input) * all.row_step; /* to what the next row of windows reads */
    for (ptrdiff_t ow = 0; ow < W->output;) {
        const taps tw = window_taps(W, ow);
        const ptrdiff_t columns = tw.last - tw.first, stop = alike(W, ow);
        FOR_TAPS(all.depths, all.rows, columns, average_columns, &all, next, stop - ow, W->stride * C,
                 x_row + (tw.at + tw.first) * C, y + ow * C);
        ow = stop;
    }
}

void FC_NAME(average_pool_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_row(job, tile, output_rows(job), average_forward_row);
}

FC_INLINE void average_spread(ptrdiff_t c, int vectors, ptrdiff_t lanes, const int far, ptrdiff_t C, real share,
                              ptrdiff_t columns, const real *dy, real *dx)
{
    dy += c, dx += c;
    soon(0, dy + PAGE, vectors);
    for (ptrdiff_t w = 0; !far && w < columns; w++) soon(1, dx + PAGE + w * C, vectors);
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        const vec g = load_part(dy + v * LANES, lanes) * share;
        for (ptrdiff_t w = 0; w < columns; w++) store_part_far(far, dx + w * C + v * LANES, g, lanes);
    }
}

/* `count` windows side by side, `dx_step` between their first cells; what lies between them becomes 0. */
FC_INLINE void average_spread_columns(const ptrdiff_t depths, const ptrdiff_t rows, const ptrdiff_t columns,
                                      const int far, ptrdiff_t C, real share, ptrdiff_t count, ptrdiff_t dx_step,
                                      const real *dy, real *dx)
{
    (void)depths, (void)rows;
    for (const real *end = dy + count * C; dy < end; dx += dx_step, dy += C) {
        FOR_CHANNELS(C, average_spread, far, C, share, columns, dy, dx);
        if (dy + C < end) zeros(dx + columns * C, dx_step - columns * C);
    }
}

/* One row of dx from the row of windows over it, each of which has `rows` real rows; no cell has two windows. */
FC_INLINE void average_spread_row(const int far, const fc_axis *W, ptrdiff_t C, ptrdiff_t rows, const real *dy,
                                  real *dx_row)
{
    ptrdiff_t done = 0; /* cells written so far */
    for (ptrdiff_t ow = 0; ow < W->output;) {
        const taps tw = window_taps(W, ow);
        const ptrdiff_t columns = tw.last - tw.first, stop = alike(W, ow), from = tw.at + tw.first;
        zeros(dx_row + done * C, (from - done) * C);
        FOR_TAPS(1, 1, columns, average_spread_columns, far, C, 1 / (real)(rows * columns), stop - ow, W->stride * C,
                 dy + ow * C, dx_row + from * C);
        ow = stop;
        done = (ow - 1) * W->stride + W->start + tw.first + columns;
    }
    zeros(dx_row + done * C, (W->input - done) * C);
}

/* Cell `i` of a row from the windows `w` of each of the rows of windows `d`, `h` over it. */
FC_INLINE void average_gather(ptrdiff_t c, int vectors, ptrdiff_t lanes, const int kind, const fc_pool *j,
                              const real *dy_n, windows d, windows h, windows w, real *dx)
{
    dy_n += c, dx += c;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    vec sum[WIDE] = {{0}};
    for (ptrdiff_t od = d.first; od < d.last; od++)
        for (ptrdiff_t oh = h.first; oh < h.last; oh++) {
            const real *dy = dy_n + ((od * H->output + oh) * W->output + w.first) * j->channels;
            const ptrdiff_t rows = cells(kind, D, od) * cells(kind, H, oh);
            for (ptrdiff_t ow = w.first; ow < w.last; ow++, dy += j->channels) {
                const real share = 1 / (real)(rows * cells(kind, W, ow));
                FC_UNROLL(4)
                for (int v = 0; v < vectors; v++) sum[v] += load_part(dy + v * LANES, lanes) * share;
            }
        }
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) store_part(dx + v * LANES, sum[v], lanes);
}

FC_INLINE void average_gather_row(const int kind, const fc_pool *j, const real *dy_n, windows d, windows h, real *dx)
{
    const ptrdiff_t C = j->channels;
    for (ptrdiff_t iw = 0; iw < j->axis[2].input; iw++, dx += C) {
        const windows w = windows_over(kind, &j->axis[2], iw);
        FOR_CHANNELS(C, average_gather, kind, j, dy_n, d, h, w, dx);
    }
}

static void average_backward_row(const fc_pool *j, ptrdiff_t row)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels;
    const place i = place_of(row, D->input, H->input);
    const windows d = windows_over(ANY, D, i.d), h = windows_over(ANY, H, i.h);
    const real *dy_n = (const real *)j->x + i.n * D->output * H->output * W->output * C;
    real *dx = (real *)j->y + row * W->input * C;
    if (d.first >= d.last || h.first >= h.last) {
        zeros(dx, W->input * C);
    } else if (!overlapping(j)) {
        const real *dy = dy_n + (d.first * H->output + h.first) * W->output * C;
        const ptrdiff_t rows = cells(ANY, D, d.first) * cells(ANY, H, h.first);
        if (j->far)
            average_spread_row(1, W, C, rows, dy, dx);
        else
            average_spread_row(0, W, C, rows, dy, dx);
    } else if (kind_of(j) == STRIDED) {
        average_gather_row(STRIDED, j, dy_n, d, h, dx);
    } else {
        average_gather_row(ANY, j, dy_n, d, h, dx);
    }
}

void FC_NAME(average_pool_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_row(job, tile, input_rows(job), average_backward_row);
}
