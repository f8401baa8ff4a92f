/* conv_backward_kernel.c: the kernel's gradient as an outer product, sum over pixels of x (outer) dy.
 *
 * A register tile holds up to BLOCK rows (a row is one tap and channel) x PANEL filters and keeps them over a whole
 * chunk of pixels: each pixel broadcasts a run of x, contiguous in memory, against a panel of dy. Which pixels are
 * added in which order depends on shapes alone, so the sum has the same bits at any number of threads.
 */
#include "ahead.h"
#include "window.h"

#include <string.h>

typedef struct {
    ptrdiff_t rows, columns; /* pixels */
    ptrdiff_t x_row, x_pixel, dy_row, dy_pixel;
    const ptrdiff_t *places;       /* of a tile's rows in x, from its pixel; NULL: side by side */
    const ahead *next_x, *next_dy; /* of the next chunk */
    ptrdiff_t *asked;              /* how often for them */
} pixels;

/* Rows come in runs of `run` side by side in x; of a listed tile each run has its place. */
FC_INLINE void outer_tile(const ptrdiff_t height, const ptrdiff_t vectors, const int listed, const ptrdiff_t run,
                          const pixels *p, const real *restrict x, const real *restrict dy, real *restrict out)
{
    enum { ROWS = BLOCK * VECTORS }; /* of one vector */
    ptrdiff_t place[ROWS];
    FC_UNROLL(32)
    for (ptrdiff_t m = 0; m < height; m += run) place[m] = listed ? p->places[m] : 0;
    vec acc[ROWS][VECTORS];
    FC_UNROLL(32)
    for (ptrdiff_t m = 0; m < height; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = load(out + (m * vectors + v) * LANES);

    const ptrdiff_t x_pixel = p->x_pixel, dy_pixel = p->dy_pixel, columns = p->columns;
    for (ptrdiff_t r = 0; r < p->rows; r++) {
        const real *x_p = x + r * p->x_row, *dy_p = dy + r * p->dy_row;
        for (ptrdiff_t c = 0; c < columns; c++, x_p += x_pixel, dy_p += dy_pixel) {
            vec g[VECTORS];
            const real *run_at = x_p;
            if (listed) __builtin_prefetch(dy_p + 24 * dy_pixel);
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) g[v] = load(dy_p + v * LANES);
            FC_UNROLL(32)
            for (ptrdiff_t m = 0; m < height; m++) {
                if (m % run == 0) run_at = x_p + place[m];
                /* The compiler must not see through it, else GCC keeps an offset for every row, in memory. */
                if (listed && run > 1 && m % run == 0) __asm__("" : "+r"(run_at));
                const real x_m = run_at[m % run];
                FC_UNROLL(2)
                for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += x_m * g[v];
            }
        }
    }
    FC_UNROLL(32)
    for (ptrdiff_t m = 0; m < height; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) store(out + (m * vectors + v) * LANES, acc[m][v]);
}

typedef void tile_function(const pixels *, const real *, const real *, real *);

#define TILE(height, vectors)                                                                                        \
    static void tile_##height##x##vectors(const pixels *p, const real *x, const real *dy, real *out)                 \
    {                                                                                                                \
        if (p->places)                                                                                               \
            outer_tile(height, vectors, 1, 1, p, x, dy, out);                                                           \
        else                                                                                                         \
            outer_tile(height, vectors, 0, height, p, x, dy, out);                                                          \
    }
#include "tile_table.h"

/* Rows `from` to `to` of the partial sum, in register tiles; row r reads x[r]. */
static void run_tiles(const pixels *p, ptrdiff_t from, ptrdiff_t to, ptrdiff_t width, const real *x, const real *dy,
                      real *partial)
{
    const ptrdiff_t pieces = blocks(to - from, BLOCK);
    for (ptrdiff_t i = 0, r = from; i < pieces; i++) { /* pieces differ by one row at most */
        const ptrdiff_t height = (to - from + i) / pieces;
        ask(0, p->next_x, *p->asked);
        ask(0, p->next_dy, (*p->asked)++);
        tile_functions[height - 1][width / LANES - 1](p, x + r, dy, partial + r * width);
        r += height;
    }
}

/* The same where row r reads x[places[r]]. */
static void run_listed(pixels p, ptrdiff_t height, ptrdiff_t width, const real *x, const real *dy, real *partial,
                       const ptrdiff_t *places)
{
    const ptrdiff_t pieces = blocks(height, BLOCK);
    for (ptrdiff_t i = 0, r = 0; i < pieces; i++) {
        const ptrdiff_t rows = (height + i) / pieces;
        p.places = places + r;
        tile_functions[rows - 1][width / LANES - 1](&p, x, dy, partial + r * width);
        r += rows;
    }
}

/* A chunk of pixels: outputs of one sample and depth. */
typedef struct {
    ptrdiff_t n, od, row, rows, column, columns;
} chunk;

/* Adds one chunk's products for one height and depth tap and one panel to its partial sum. `dy` is the panel at the
 * chunk's first pixel, with the steps in `p`. */
static void add_chunk(const fc_conv_kernel *j, const chunk *k, ptrdiff_t g, ptrdiff_t td, ptrdiff_t th, ptrdiff_t from,
                      ptrdiff_t to, ptrdiff_t width, pixels p, const real *dy, real *partial, real *x_copy)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, row = max_(k->row, first_output(H, th));
    p.rows = min_(k->row + k->rows, last_output(H, th)) - row;
    if (td < first_tap(D, k->od) || td >= last_tap(D, k->od) || p.rows <= 0) return;
    dy += (row - k->row) * p.dy_row;

    if (j->merged) {
        const fc_axis axis[3] = {
            {D->input, D->output, 1, D->stride, 1, D->start + td * D->dilation},
            {H->input, H->output, 1, H->stride, 1, H->start + th * H->dilation},
            *W,
        };
        const view x = window_view(axis, j->x, j->x_step, k->n, j->groups, g, C, k->od, row, p.rows, k->column,
                                   k->columns, x_copy);
        p.columns = k->columns, p.x_row = H->stride * x.row, p.x_pixel = W->stride * x.pixel;
        run_tiles(&p, from, to, width, x.data, dy, partial);
        return;
    }
    const ptrdiff_t pixel = j->groups * C, x_row = W->input * pixel;
    const ptrdiff_t id = k->od * D->stride + td * D->dilation + D->start;
    const ptrdiff_t ih = row * H->stride + th * H->dilation + H->start;
    const real *x = (const real *)j->x + ((k->n * D->input + id) * H->input + ih) * x_row + g * C;
    p.x_row = H->stride * x_row, p.x_pixel = W->stride * pixel;
    for (ptrdiff_t tw = from / C; from < to; tw++) { /* each tap on the columns where it is inside */
        const ptrdiff_t end = min_((tw + 1) * C, to), left = max_(k->column, first_output(W, tw));
        p.columns = min_(k->column + k->columns, last_output(W, tw)) - left;
        const real *x_t = x + (left * W->stride + tw * W->dilation + W->start) * pixel - tw * C;
        if (p.columns > 0) run_tiles(&p, from, end, width, x_t, dy + (left - k->column) * p.dy_pixel, partial);
        from = end;
    }
}

/* Adds one chunk's products for every tap and one panel: the taps' rows are too short to fill tiles by themselves. */
static void add_chunk_flat(const fc_conv_kernel *j, const chunk *k, ptrdiff_t g, ptrdiff_t width, pixels p,
                           const real *dy, real *partial, real *x_copy)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const view x = whole_window(j->axis, j->x, j->x_step, k->n, j->groups, g, j->channels, k->od, k->row, k->rows,
                                k->column, k->columns, x_copy);
    ptrdiff_t places[FC_FLAT_ROWS], *place = places;
    for (ptrdiff_t td = 0; td < D->taps; td++)
        for (ptrdiff_t th = 0; th < H->taps; th++)
            for (ptrdiff_t tw = 0; tw < W->taps; tw++)
                for (ptrdiff_t c = 0; c < j->channels; c++)
                    *place++ = td * x.depth + th * H->dilation * x.row + tw * W->dilation * x.pixel + c;
    p.rows = k->rows, p.columns = k->columns, p.x_row = H->stride * x.row, p.x_pixel = W->stride * x.pixel;
#if FC_BLOCK * 2 >= 27
    /* A 3x3x3 window of one channel, to one vector of filters, is one tile of nine runs of three: a place to load for
     * three products instead of for each. Only AVX-512 has the accumulators. */
    if (place - places == 27 && W->taps * j->channels == 3 && W->dilation * x.pixel == j->channels && width == LANES) {
        p.places = places;
        outer_tile(27, 1, 1, 3, &p, x.data, dy, partial);
        return;
    }
#endif
    run_listed(p, place - places, width, x.data, dy, partial, places);
}

/* copy[panel][pixel][width]: panels of a chunk's dy side by side, so that its lines do not evict one another. */
static void copy_panels(const fc_conv_kernel *j, const chunk *k, const real *dy, ptrdiff_t dy_row, ptrdiff_t dy_pixel,
                        ptrdiff_t p0, ptrdiff_t p1, real *copy)
{
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, size = k->rows * k->columns;
    for (ptrdiff_t r = 0; r < k->rows; r++)
        for (ptrdiff_t q = 0; q < k->columns; q++) {
            const real *from = dy + r * dy_row + q * dy_pixel + p0 * PANEL;
            if (p1 - p0 == 1) __builtin_prefetch(from + 16 * dy_pixel);
            for (ptrdiff_t panel = p0; panel < p1; panel++, from += PANEL) {
                const ptrdiff_t first = panel * PANEL, width = min_(lanes - first, PANEL);
                const ptrdiff_t valid = min_(j->filters - first, PANEL);
                real *out = copy + (panel - p0) * size * PANEL + (r * k->columns + q) * width;
                if (valid == PANEL)
                    memcpy(out, from, PANEL * sizeof(real));
                else
                    memcpy(out, from, valid * sizeof(real));
                for (ptrdiff_t i = valid; i < width; i++) out[i] = 0;
            }
        }
}

/* What the chunk after `k` reads lies behind what `k` reads; the arrays' ends bound both. To be asked for `times`. */
static void look_ahead(const fc_conv_kernel *j, const chunk *k, ptrdiff_t times, ahead *next_x, ahead *next_dy)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->groups * j->channels, K = j->groups * j->filters, size = k->rows * k->columns;
    const ptrdiff_t at = ((k->n * D->output + k->od) * H->output + k->row) * W->output + k->column + size;
    const ptrdiff_t end = j->batch * D->output * H->output * W->output, x_size = size * H->stride * W->stride;
    const ptrdiff_t x_at = ((k->n * D->input + k->od * D->stride) * H->input + k->row * H->stride) * W->input
                         + k->column * W->stride + x_size;
    const ptrdiff_t x_end = j->batch * D->input * H->input * W->input;
    *next_dy = ahead_of((const real *)j->dy + min_(at, end) * K, min_(size, end - at) * K, times);
    *next_x = ahead_of((const real *)j->x + min_(x_at, x_end) * C, min_(x_size, x_end - x_at) * C, times);
}

/* The panels of dy that a tile copies. */
FC_INLINE ptrdiff_t copied_size(const fc_conv_kernel *j, ptrdiff_t panels)
{
    return FC_PRODUCT(j->rows, j->columns, PANEL, panels, sizeof(real));
}

ptrdiff_t FC_NAME(conv_backward_kernel_size)(const void *job)
{
    const fc_conv_kernel *j = job;
    const ptrdiff_t copies = copied_size(j, j->whole ? blocks(blocks(j->filters, LANES), VECTORS) : 1);
    if (!j->flat && (!j->merged || (j->groups == 1 && reads_inside(&j->axis[2])))) return copies;
    return copies + view_size(j->axis, j->channels, j->flat ? j->axis[0].taps : 1, j->rows, j->columns);
}

void FC_NAME(conv_backward_kernel)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_conv_kernel *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, panels = blocks(lanes, PANEL);
    const ptrdiff_t d_taps = j->flat ? 1 : D->taps, h_taps = j->flat ? 1 : H->taps;
    const ptrdiff_t height = W->taps * j->channels * (j->flat ? D->taps * H->taps : 1);
    const ptrdiff_t parts = blocks(height, j->part);
    /* the range of each index that this tile covers: everything of a slice, or one of each */
    ptrdiff_t g0 = 0, g1 = j->groups, td0 = 0, td1 = d_taps, th0 = 0, th1 = h_taps, p0 = 0, p1 = panels;
    ptrdiff_t from = 0, slice = index;
    if (!j->whole) {
        from = index % parts * j->part;
        p1 = (p0 = (index /= parts) % panels) + 1;
        th1 = (th0 = (index /= panels) % h_taps) + 1;
        td1 = (td0 = (index /= h_taps) % d_taps) + 1;
        g1 = (g0 = (index /= d_taps) % j->groups) + 1;
        slice = index / j->groups;
    }
    const ptrdiff_t to = min_(from + j->part, height);
    real *const partial = (real *)j->partial + slice * j->groups * d_taps * h_taps * height * lanes;
#define PARTIAL(g, td, th, panel) \
    (partial + ((((g) * d_taps + (td)) * h_taps + (th)) * lanes + (panel) * PANEL) * height)

    const ptrdiff_t row_blocks = blocks(H->output, j->rows), column_blocks = blocks(W->output, j->columns);
    const ptrdiff_t chunks = j->batch * D->output * row_blocks * column_blocks;
    const ptrdiff_t dy_pixel = j->groups * j->filters, dy_row = W->output * dy_pixel;
    const ptrdiff_t first_chunk = chunks * slice / j->slices, last_chunk = chunks * (slice + 1) / j->slices;
    real *const dy_copy = scratch, *const x_copy = dy_copy + copied_size(j, p1 - p0) / (ptrdiff_t)sizeof(real);
    /* Few passes over narrow rows of dy read them where they are. */
    const int copied = dy_pixel > (j->flat ? 2 * PANEL : PANEL) || j->filters % LANES;
    const ptrdiff_t tiles = (g1 - g0) * (p1 - p0) * (td1 - td0) * (th1 - th0) * blocks(to - from, BLOCK);

    for (ptrdiff_t c = first_chunk; c < last_chunk; c++) {
        const ptrdiff_t column = c % column_blocks * j->columns, row = c / column_blocks % row_blocks * j->rows;
        const chunk k = {
            c / column_blocks / row_blocks / D->output, c / column_blocks / row_blocks % D->output,
            row, min_(H->output - row, j->rows), column, min_(W->output - column, j->columns),
        };
        ahead next_x = {0}, next_dy = {0};
        ptrdiff_t asked = 0;
        if (copied && !j->flat) look_ahead(j, &k, tiles, &next_x, &next_dy);
        for (ptrdiff_t g = g0; g < g1; g++) {
            const real *dy_g = (const real *)j->dy + ((k.n * D->output + k.od) * H->output + row) * dy_row
                             + column * dy_pixel + g * j->filters;
            if (copied) copy_panels(j, &k, dy_g, dy_row, dy_pixel, p0, p1, dy_copy);
            for (ptrdiff_t panel = p0; panel < p1; panel++) {
                const ptrdiff_t width = min_(lanes - panel * PANEL, PANEL);
                const real *dy = dy_g + panel * PANEL;
                pixels p = {.dy_row = dy_row, .dy_pixel = dy_pixel};
                p.next_x = &next_x, p.next_dy = &next_dy, p.asked = &asked;
                if (copied) {
                    dy = dy_copy + (panel - p0) * k.rows * k.columns * PANEL;
                    p.dy_row = k.columns * width, p.dy_pixel = width;
                }
                for (ptrdiff_t td = td0; td < td1; td++)
                    for (ptrdiff_t th = th0; th < th1; th++) {
                        real *sum = PARTIAL(g, td, th, panel);
                        if (c == first_chunk) memset(sum + from * width, 0, (to - from) * width * sizeof(real));
                        if (j->flat)
                            add_chunk_flat(j, &k, g, width, p, dy, sum, x_copy);
                        else
                            add_chunk(j, &k, g, td, th, from, to, width, p, dy, sum, x_copy);
                    }
            }
        }
    }
}

/* dkernel = the slices' sum, in their order, from panels back to (kd, kh, kw, channels, filters). */
void FC_NAME(conv_reduce_kernel)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_conv_kernel *j = job;
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, panels = blocks(lanes, PANEL);
    const ptrdiff_t flat = j->axis[0].taps * j->axis[1].taps, taps = j->flat ? 1 : flat;
    const ptrdiff_t height = j->axis[2].taps * j->channels * (j->flat ? flat : 1);
    const ptrdiff_t parts = blocks(height, j->part), r0 = index % parts * j->part, r1 = min_(r0 + j->part, height);
    const ptrdiff_t first = (index /= parts) % panels * PANEL, tap = (index /= panels) % taps, g = index / taps;
    const ptrdiff_t width = min_(lanes - first, PANEL), valid = min_(j->filters - first, PANEL);
    const ptrdiff_t all = j->groups * taps * height * lanes, out_row = j->groups * j->filters;
    const real *from = (const real *)j->partial + (g * taps + tap) * height * lanes + first * height;
    real *to = (real *)j->dkernel + tap * height * out_row + g * j->filters + first;

    for (ptrdiff_t r = r0; r < r1; r++)
        for (ptrdiff_t k = 0; k < width; k += LANES) {
            vec sum = load(from + r * width + k);
            for (ptrdiff_t s = 1; s < j->slices; s++) sum += load(from + s * all + r * width + k);
            store_part(to + r * out_row + k, sum, min_(valid - k, LANES));
        }
}
