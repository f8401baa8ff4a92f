/* conv_backward_kernel.c: the kernel's gradient as an outer product, sum over pixels of x (outer) dy.
 *
 * A register tile holds up to BLOCK rows (a row is one tap and channel) x PANEL filters and keeps them over a whole
 * chunk of pixels: each pixel broadcasts a run of x, contiguous in memory, against a panel of dy. Which pixels are
 * added in which order depends on shapes alone, so the sum has the same bits at any number of threads.
 */
#include "vector.h"
#include "window.h"

#include <string.h>

typedef struct {
    ptrdiff_t rows, columns;   /* pixels */
    ptrdiff_t x_row, x_pixel, dy_row, dy_pixel;
} pixels;

FC_INLINE void outer_tile(const ptrdiff_t height, const ptrdiff_t vectors, const pixels *p, const real *restrict x,
                          const real *restrict dy, real *restrict out)
{
    vec acc[BLOCK][VECTORS];
#pragma GCC unroll 16
    for (ptrdiff_t m = 0; m < height; m++)
#pragma GCC unroll 2
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = load(out + (m * vectors + v) * LANES);

    const ptrdiff_t x_pixel = p->x_pixel, dy_pixel = p->dy_pixel, columns = p->columns;
    for (ptrdiff_t r = 0; r < p->rows; r++) {
        const real *x_p = x + r * p->x_row, *dy_p = dy + r * p->dy_row;
        for (ptrdiff_t c = 0; c < columns; c++, x_p += x_pixel, dy_p += dy_pixel) {
            vec g[VECTORS];
            for (ptrdiff_t v = 0; v < vectors; v++) g[v] = load(dy_p + v * LANES);
#pragma GCC unroll 16
            for (ptrdiff_t m = 0; m < height; m++) {
                const real x_m = x_p[m];
#pragma GCC unroll 2
                for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += x_m * g[v];
            }
        }
    }
#pragma GCC unroll 16
    for (ptrdiff_t m = 0; m < height; m++)
#pragma GCC unroll 2
        for (ptrdiff_t v = 0; v < vectors; v++) store(out + (m * vectors + v) * LANES, acc[m][v]);
}

typedef void tile_function(const pixels *, const real *, const real *, real *);

#define TILE(height, vectors)                                                                                        \
    static void tile_##height##x##vectors(const pixels *p, const real *x, const real *dy, real *out)                 \
    {                                                                                                                \
        outer_tile(height, vectors, p, x, dy, out);                                                                  \
    }
#include "tile_table.h"

void FC_NAME(conv_backward_kernel)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_conv_kernel *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, panels = blocks(lanes, PANEL);
    const ptrdiff_t height = W->taps * j->channels, parts = blocks(height, j->part);
    const ptrdiff_t part = index % parts * j->part, first = (index /= parts) % panels * PANEL;
    const ptrdiff_t th = (index /= panels) % H->taps, td = (index /= H->taps) % D->taps;
    const ptrdiff_t g = (index /= D->taps) % j->groups, slice = index / j->groups;
    const ptrdiff_t width = min_(lanes - first, PANEL), valid = min_(j->filters - first, PANEL);
    const ptrdiff_t part_end = min_(part + j->part, height);
    real *partial = (real *)j->partial
                  + (((slice * j->groups + g) * D->taps + td) * H->taps + th) * height * lanes + first * height;
    memset(partial + part * width, 0, (part_end - part) * width * sizeof(real));

    const ptrdiff_t row_blocks = blocks(H->output, j->rows), column_blocks = blocks(W->output, j->columns);
    const ptrdiff_t chunks = j->batch * D->output * row_blocks * column_blocks;
    const ptrdiff_t dy_pixel = j->groups * j->filters, dy_row = W->output * dy_pixel;
    real *const dy_copy = scratch; /* then the view of x */
    real *const x_copy = dy_copy + (valid == width ? 0 : j->rows * j->columns * width);

    for (ptrdiff_t chunk = chunks * slice / j->slices; chunk < chunks * (slice + 1) / j->slices; chunk++) {
        const ptrdiff_t column = chunk % column_blocks * j->columns;
        const ptrdiff_t top = chunk / column_blocks % row_blocks * j->rows;
        const ptrdiff_t od = chunk / column_blocks / row_blocks % D->output;
        const ptrdiff_t n = chunk / column_blocks / row_blocks / D->output;
        if (td < first_tap(D, od) || td >= last_tap(D, od)) continue;
        const ptrdiff_t row = max_(top, first_output(H, th));
        const ptrdiff_t rows = min_(top + j->rows, last_output(H, th)) - row;
        const ptrdiff_t columns = min_(W->output - column, j->columns);
        if (rows <= 0) continue;

        const fc_axis axis[3] = { /* of this one depth and height tap */
            {D->input, D->output, 1, D->stride, 1, D->start + td * D->dilation},
            {H->input, H->output, 1, H->stride, 1, H->start + th * H->dilation},
            *W,
        };
        const view x = window_view(axis, j->x, n, j->groups, g, j->channels, od, row, rows, column, columns, x_copy);
        const real *dy = (const real *)j->dy + ((n * D->output + od) * H->output + row) * dy_row + column * dy_pixel
                       + g * j->filters + first;
        pixels p = {rows, columns, H->stride * x.row, W->stride * x.pixel, dy_row, dy_pixel};
        if (valid < width) {
            for (ptrdiff_t r = 0; r < rows; r++)
                for (ptrdiff_t c = 0; c < columns; c++) {
                    real *to = dy_copy + (r * columns + c) * width;
                    memcpy(to, dy + r * dy_row + c * dy_pixel, valid * sizeof(real));
                    for (ptrdiff_t k = valid; k < width; k++) to[k] = 0;
                }
            dy = dy_copy, p.dy_row = columns * width, p.dy_pixel = width;
        }

        /* rows of one tap are contiguous in x; of the whole kernel row, where its taps touch */
        const ptrdiff_t run = W->dilation == 1 && x.pixel == j->channels ? height : j->channels;
        for (ptrdiff_t at = part; at < part_end;) {
            const ptrdiff_t run_end = min_(part_end, (at / run + 1) * run), pieces = blocks(run_end - at, BLOCK);
            const ptrdiff_t piece = (run_end - at) / pieces, tap = at / j->channels, channel = at % j->channels;
            tile_functions[piece - 1][width / LANES - 1](&p, x.data + tap * W->dilation * x.pixel + channel, dy,
                                                         partial + at * width);
            at += piece;
        }
    }
}

/* dkernel = the slices' sum, in their order, from panels back to (kd, kh, kw, channels, filters). */
void FC_NAME(conv_reduce_kernel)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_conv_kernel *j = job;
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, panels = blocks(lanes, PANEL);
    const ptrdiff_t taps = j->axis[0].taps * j->axis[1].taps, height = j->axis[2].taps * j->channels;
    const ptrdiff_t first = index % panels * PANEL, tap = index / panels % taps, g = index / panels / taps;
    const ptrdiff_t width = min_(lanes - first, PANEL), valid = min_(j->filters - first, PANEL);
    const ptrdiff_t all = j->groups * taps * height * lanes, out_row = j->groups * j->filters;
    const real *from = (const real *)j->partial + (g * taps + tap) * height * lanes + first * height;
    real *to = (real *)j->dkernel + tap * height * out_row + g * j->filters + first;

    for (ptrdiff_t r = 0; r < height; r++) {
        real sum[PANEL];
        for (ptrdiff_t k = 0; k < width; k++) sum[k] = from[r * width + k];
        for (ptrdiff_t s = 1; s < j->slices; s++)
            for (ptrdiff_t k = 0; k < width; k++) sum[k] += from[s * all + r * width + k];
        memcpy(to + r * out_row, sum, valid * sizeof(real));
    }
}
