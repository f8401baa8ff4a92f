/* conv_forward.c: direct convolution as a batch-reduce: forward, and each stride phase of backward-input.
 *
 * A register tile holds up to BLOCK pixels x PANEL filters. For every tap row it walks one contiguous run of the
 * input (kw * channels long where the taps of a row touch, else channels), broadcasting one input and multiplying it
 * with a panel of packed weights. Taps outside the input are skipped by depth and height; along the width, or to
 * gather a group's channels, the tile copies its input rows to scratch first.
 */
#include "ahead.h"
#include "far.h"
#include "window.h"

void FC_NAME(conv_pack)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_pack *j = job;
    const ptrdiff_t panels = blocks(j->filters, PANEL), lanes = blocks(j->filters, LANES) * LANES;
    const ptrdiff_t g = index / panels, first = index % panels * PANEL;
    const ptrdiff_t valid = min_(j->filters - first, PANEL), width = min_(lanes - first, PANEL);
    const ptrdiff_t depth = j->taps[0] * j->taps[1] * j->taps[2] * j->channels;
    const real *w_g = (const real *)j->weights + g * j->group_step + first * j->filter_step;
    const real *scale = j->scale ? (const real *)j->scale + g * j->filters + first : NULL;
    real *restrict out = (real *)j->packed + (g * lanes + first) * depth;

    for (ptrdiff_t d = 0; d < j->taps[0]; d++)
        for (ptrdiff_t h = 0; h < j->taps[1]; h++)
            for (ptrdiff_t w = 0; w < j->taps[2]; w++)
                for (ptrdiff_t c = 0; c < j->channels; c++, out += width) {
                    const real *from =
                        w_g + d * j->tap_step[0] + h * j->tap_step[1] + w * j->tap_step[2] + c * j->channel_step;
                    ptrdiff_t k = 0;
                    if (valid < width) store(out + width - LANES, (vec){0});
                    if (j->filter_step == 1)
                        for (; k + LANES <= valid; k += LANES) store(out + k, load(from + k));
                    for (; k < valid; k++) out[k] = from[k * j->filter_step];
                    for (k = 0; scale && k < valid; k++) out[k] *= scale[k];
                }
    real *bias = (real *)j->packed_bias + g * lanes + first;
    for (ptrdiff_t k = 0; k < width; k++)
        bias[k] = j->bias && k < valid ? ((const real *)j->bias)[g * j->filters + first + k] : 0;
}

/* One product of a pixel: where its input and its panel row stand. */
typedef struct {
    ptrdiff_t x, w;
} product;

/* What one register tile multiplies: a box of taps, each a run of `run` inputs against `run` panel rows; or, where
 * runs are too short to loop over, the same products as a list. */
typedef struct {
    ptrdiff_t taps[3], x_step[3], w_step[3];
    ptrdiff_t run, w_row, x_pixel, y_pixel; /* w_row: width of the panel */
    const product *list;
    ptrdiff_t products; /* of the list; 0: use the box */
    int far;            /* store y past the caches */
    const fc_finish *finish;
    const real *y; /* what the residual lies beside */
} box;

enum { SHORT_RUN = 16, MAX_PRODUCTS = 256 };

static ptrdiff_t list_products(const box *b, product *restrict list)
{
    ptrdiff_t i = 0;
    for (ptrdiff_t td = 0; td < b->taps[0]; td++)
        for (ptrdiff_t th = 0; th < b->taps[1]; th++)
            for (ptrdiff_t tw = 0; tw < b->taps[2]; tw++)
                for (ptrdiff_t r = 0; r < b->run; r++)
                    list[i++] = (product){
                        td * b->x_step[0] + th * b->x_step[1] + tw * b->x_step[2] + r,
                        td * b->w_step[0] + th * b->w_step[1] + tw * b->w_step[2] + r * b->w_row,
                    };
    return i;
}

FC_INLINE void add_product(const ptrdiff_t pixels, const ptrdiff_t vectors, vec acc[BLOCK][VECTORS],
                           const real *restrict x, ptrdiff_t pixel, const real *restrict w)
{
    vec w_r[VECTORS];
    FC_UNROLL(2)
    for (ptrdiff_t v = 0; v < vectors; v++) w_r[v] = load(w + v * LANES);
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < pixels; m++) {
        const real x_m = x[m * pixel];
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += x_m * w_r[v];
    }
}

FC_INLINE void register_tile(const ptrdiff_t pixels, const ptrdiff_t vectors, const box *b, const real *restrict x,
                             const real *restrict w, const real *restrict bias, real *restrict y, ptrdiff_t valid)
{
    vec acc[BLOCK][VECTORS];
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < pixels; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = load(bias + v * LANES);

    const ptrdiff_t pixel = b->x_pixel, run = b->run;
    for (const product *p = b->list, *end = p + b->products; p < end; p++)
        add_product(pixels, vectors, acc, x + p->x, pixel, w + p->w);
    if (!b->products)
        for (ptrdiff_t td = 0; td < b->taps[0]; td++)
            for (ptrdiff_t th = 0; th < b->taps[1]; th++)
                for (ptrdiff_t tw = 0; tw < b->taps[2]; tw++) {
                    const real *x_t = x + td * b->x_step[0] + th * b->x_step[1] + tw * b->x_step[2];
                    const real *w_t = w + td * b->w_step[0] + th * b->w_step[1] + tw * b->w_step[2];
                    for (ptrdiff_t r = 0; r < run; r++, x_t++, w_t += vectors * LANES)
                        add_product(pixels, vectors, acc, x_t, pixel, w_t);
                }

    const ptrdiff_t last = valid - (vectors - 1) * LANES;
    if (b->finish->residual) {
        const real *beside = (const real *)b->finish->residual + (y - b->y);
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < pixels; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++)
                acc[m][v] += v < vectors - 1 ? load(beside + m * b->y_pixel) : load_end(beside + m * b->y_pixel + v * LANES, last);
    }
    if (b->finish->relu) {
        const real most = (real)b->finish->most;
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < pixels; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = at_most(at_least(acc[m][v], 0), most);
    }
    if (b->far) {
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < pixels; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) store_far(y + m * b->y_pixel + v * LANES, acc[m][v]);
    } else if (last == LANES) {
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < pixels; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) store(y + m * b->y_pixel + v * LANES, acc[m][v]);
    } else {
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < pixels; m++) {
            if (vectors > 1) store(y + m * b->y_pixel, acc[m][0]);
            store_some(y + m * b->y_pixel + (vectors - 1) * LANES, acc[m][vectors - 1], last);
        }
    }
}

typedef void tile_function(const box *, const real *, const real *, const real *, real *, ptrdiff_t);

#define TILE(pixels, vectors)                                                                                        \
    static void tile_##pixels##x##vectors(const box *b, const real *x, const real *w, const real *bias, real *y,     \
                                          ptrdiff_t valid)                                                           \
    {                                                                                                                \
        register_tile(pixels, vectors, b, x, w, bias, y, valid);                                                     \
    }
#include "tile_table.h"

/* What the block after `k` reads lies behind what `k` reads; the array's end bounds it. */
FC_INLINE ahead next_input(const fc_conv *j, const fc_block *k, ptrdiff_t tiles)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const int whole_rows = k->columns == W->output;
    const ptrdiff_t size = whole_rows ? k->rows * H->stride * j->x_step[2] : k->columns * W->stride * j->x_step[3];
    const ptrdiff_t end = j->batch * j->x_step[0];
    const ptrdiff_t at = k->n * j->x_step[0] + k->od * D->stride * j->x_step[1] + k->row * H->stride * j->x_step[2]
                       + k->column * W->stride * j->x_step[3] + size;
    return ahead_of((const real *)j->x + min_(at, end), min_(size, end - at), tiles);
}

void FC_NAME(conv_block)(const fc_conv *j, const fc_block *k, void *to, const ptrdiff_t y_step[2], void *scratch)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const view x = window_view(j->axis, j->x, j->x_step, k->n, j->groups, k->g, j->channels, k->od, k->row, k->rows,
                               k->column, k->columns, scratch);
    const int merged = W->dilation == 1 && x.pixel == j->channels;
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES;
    const ptrdiff_t row_taps = W->taps * j->channels, d0 = first_tap(D, k->od), d1 = last_tap(D, k->od);
    const real *w_g = (const real *)j->packed + k->g * lanes * D->taps * H->taps * row_taps;
    const real *bias_g = (const real *)j->packed_bias + k->g * lanes;
    const ptrdiff_t pieces = blocks(k->columns, BLOCK), run = merged ? row_taps : j->channels;
    const int listed = run < SHORT_RUN && D->taps * H->taps * row_taps <= MAX_PRODUCTS;
    product list[MAX_PRODUCTS];
    ahead next = {0};
    ptrdiff_t tile = 0;
    if (!listed) next = next_input(j, k, (k->end - k->panel) * k->rows * pieces);
    struct known { ptrdiff_t h0, h1, width, products; } known = {0}; /* what the list holds */

    for (ptrdiff_t first = k->panel * PANEL; first < min_(lanes, k->end * PANEL); first += PANEL) {
        const ptrdiff_t width = min_(lanes - first, PANEL), valid = min_(j->filters - first, PANEL);
        const real *w_p = w_g + first * D->taps * H->taps * row_taps;
        for (ptrdiff_t r = 0; r < k->rows; r++) {
            const ptrdiff_t h0 = first_tap(H, k->row + r), h1 = last_tap(H, k->row + r);
            box b = {
                .taps = {d1 - d0, h1 - h0, merged ? 1 : W->taps},
                .x_step = {x.depth, H->dilation * x.row, W->dilation * x.pixel},
                .w_step = {H->taps * row_taps * width, row_taps * width, j->channels * width},
                .run = run,
                .w_row = width,
                .x_pixel = W->stride * x.pixel,
                .y_pixel = y_step[1],
                .list = list,
                .far = j->far,
                .finish = &j->finish,
                .y = j->y,
            };
            if (listed && (h0 != known.h0 || h1 != known.h1 || width != known.width))
                known = (struct known){h0, h1, width, list_products(&b, list)};
            b.products = known.products;
            const real *x_r = x.data + d0 * b.x_step[0] + (r * H->stride + h0 * H->dilation) * x.row;
            const real *w_r = w_p + d0 * b.w_step[0] + h0 * b.w_step[1];
            real *y_r = (real *)to + r * y_step[0] + first;
            const real *beside = j->finish.residual ? (const real *)j->finish.residual + (y_r - b.y) : NULL;
            for (ptrdiff_t i = 0, c = 0; i < pieces; i++) { /* pieces differ by one pixel at most */
                const ptrdiff_t pixels = k->columns / pieces + (i < k->columns % pieces);
                if (!listed) {
                    ask(0, &next, tile++);
                    for (ptrdiff_t m = c + pixels; m < min_(c + 2 * pixels, k->columns); m++) {
                        if (!j->far) __builtin_prefetch(y_r + m * b.y_pixel, 1);
                        if (!beside) continue;
                        __builtin_prefetch(beside + m * b.y_pixel);
                        __builtin_prefetch(beside + m * b.y_pixel + LINE);
                    }
                }
                tile_functions[pixels - 1][width / LANES - 1](&b, x_r + c * b.x_pixel, w_r, bias_g + first,
                                                              y_r + c * b.y_pixel, valid);
                c += pixels;
            }
        }
    }
}

ptrdiff_t FC_NAME(conv_forward_size)(const void *job)
{
    const fc_conv *j = job;
    if (j->groups == 1 && reads_inside(&j->axis[2])) return 0;
    return view_size(j->axis, j->channels, j->axis[0].taps, j->rows, j->columns);
}

void FC_NAME(conv_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_conv *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t row_blocks = blocks(H->output, j->rows), column_blocks = blocks(W->output, j->columns);
    const ptrdiff_t column = index % column_blocks * j->columns, row = (index /= column_blocks) % row_blocks * j->rows;
    const ptrdiff_t od = (index /= row_blocks) % D->output, g = (index /= D->output) % j->groups;
    const ptrdiff_t n = (index /= j->groups) % j->batch, part = index / j->batch, panels = blocks(j->filters, PANEL);
    const fc_block k = {
        n, g, od, row, min_(H->output - row, j->rows), column, min_(W->output - column, j->columns),
        panels * part / j->parts, panels * (part + 1) / j->parts,
    };
    real *y = (real *)j->y + n * j->y_step[0] + od * j->y_step[1] + row * j->y_step[2] + column * j->y_step[3]
            + g * j->filters;
    FC_NAME(conv_block)(j, &k, y, j->y_step + 2, scratch);
    if (j->far) far_done();
    if (!j->finish.map) return;
    const ptrdiff_t first = k.panel * PANEL, filters = min_(j->filters, k.end * PANEL) - first;
    for (ptrdiff_t r = 0; r < k.rows; r++)
        FC_NAME(map_rows)(&j->finish, y + r * j->y_step[2] + first, k.columns, j->y_step[3], filters);
}
