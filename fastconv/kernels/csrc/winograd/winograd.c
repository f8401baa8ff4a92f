/* winograd.c: Winograd convolution: transformed weights, then forward by blocks of Winograd tiles that stay in cache.
 *
 * A block's inputs are transformed to [point][tile][channel]; each point multiplies its (tiles, channels) with its
 * transformed weights (channels, filters) in register tiles; the products are transformed back, a tile and a vector of
 * filters at a time, given their bias, and stored, or max-pooled first. Everything between x and y is scratch.
 */
#include "pool/pool_window.h"
#include "winograd_tiles.h"

/* out (rows, vectors) = a (rows, channels) b (channels, vectors) */
FC_INLINE void product_tile(const ptrdiff_t rows, const ptrdiff_t vectors, ptrdiff_t channels, const real *restrict a,
                            ptrdiff_t a_row, const real *restrict b, real *restrict out, ptrdiff_t out_row)
{
    vec acc[BLOCK][VECTORS];
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < rows; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = (vec){0};
    for (ptrdiff_t c = 0; c < channels; c++, b += vectors * LANES) {
        vec b_c[VECTORS];
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) b_c[v] = load(b + v * LANES);
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < rows; m++) {
            const real a_mc = a[m * a_row + c];
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += a_mc * b_c[v];
        }
    }
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < rows; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) store(out + m * out_row + v * LANES, acc[m][v]);
}

typedef void tile_function(ptrdiff_t, const real *, ptrdiff_t, const real *, real *, ptrdiff_t);
#define TILE(rows, vectors)                                                                                          \
    static void tile_##rows##x##vectors(ptrdiff_t channels, const real *a, ptrdiff_t a_row, const real *b, real *out,  \
                                        ptrdiff_t out_row)                                                           \
    {                                                                                                                \
        product_tile(rows, vectors, channels, a, a_row, b, out, out_row);                                            \
    }
#include "tile_table.h"

/* products[point][tile][filter] of a block. */
static void multiply_points(const fc_winograd *j, int points, ptrdiff_t count, const real *inputs, real *products)
{
    const ptrdiff_t C = j->channels, a_row = blocks(C, LANES) * LANES, lanes = blocks(j->filters, LANES) * LANES;
    const ptrdiff_t pieces = blocks(count, BLOCK);
    for (int p = 0; p < points; p++) {
        const real *a = inputs + p * plane(j->block, C), *b = (const real *)j->transformed + p * plane(C, j->filters);
        real *out = products + p * plane(j->block, j->filters);
        for (ptrdiff_t k = 0; k < lanes; k += PANEL)
            for (ptrdiff_t i = 0, t = 0; i < pieces; i++) { /* pieces differ by one tile at most */
                const ptrdiff_t rows = (count + i) / pieces;
                tile_functions[rows - 1][min_(lanes - k, PANEL) / LANES - 1](C, a + t * a_row, a_row, b + k * C,
                                                                            out + t * lanes + k, lanes);
                t += rows;
            }
    }
}

/* The outputs of one tile, clipped to y. */
FC_INLINE void store_box(const fc_winograd *j, const int d1, const int h1, const int w1, const place *p, ptrdiff_t k,
                         const vec *from)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t K = j->filters, lanes = min_(K - k, LANES), step = W->dilation * K;
    for (int d = 0; d < d1; d++)
        for (int h = 0; h < h1; h++, from += w1) {
            const ptrdiff_t od = p->at[0] + d * D->dilation, oh = p->at[1] + h * H->dilation, ow = p->at[2];
            if (od >= D->output || oh >= H->output) continue;
            const ptrdiff_t at = (((p->n * D->output + od) * H->output + oh) * W->output + ow) * K + k;
            real *y = (real *)j->y + at;
            if (ow + (w1 - 1) * W->dilation < W->output && lanes == LANES)
                for (int w = 0; w < w1; w++) store(y + w * step, finished(&j->finish, from[w], at + w * step, LANES));
            else
                for (int w = 0; w < w1 && ow + w * W->dilation < W->output; w++)
                    store_part(y + w * step, finished(&j->finish, from[w], at + w * step, lanes), lanes);
        }
}

/* The maxima of one tile's windows and the taps that won. */
FC_INLINE void pool_box(const fc_winograd *j, const int d1, const int h1, const int w1, const place *p, ptrdiff_t k,
                        const vec *from)
{
    const ptrdiff_t *pool = j->pool, K = j->filters, lanes = min_(K - k, LANES);
    const ptrdiff_t D = j->axis[0].output / pool[0], H = j->axis[1].output / pool[1], W = j->axis[2].output / pool[2];
    const ptrdiff_t step[3] = {h1 * w1 * LANES, w1 * LANES, LANES};
    for (ptrdiff_t d = 0; d < d1 / pool[0]; d++)
        for (ptrdiff_t h = 0; h < h1 / pool[1]; h++) {
            const ptrdiff_t od = p->at[0] / pool[0] + d, oh = p->at[1] / pool[1] + h, ow = p->at[2] / pool[2];
            if (od >= D || oh >= H) continue;
            const real *cell = (const real *)(from + (d * pool[0] * h1 + h * pool[1]) * w1);
            const ptrdiff_t at = (((p->n * D + od) * H + oh) * W + ow) * K + k;
            pool_any(pool, min_(w1 / pool[2], W - ow), lanes, cell, step, j->finish.relu, K, (real *)j->y + at,
                     (uint8_t *)j->index + at);
        }
}

FC_INLINE void transform_outputs(const int fd, const int fh, const int fw, const fc_winograd *j, ptrdiff_t first,
                                 ptrdiff_t count, const real *restrict products)
{
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, next = plane(j->block, j->filters);
    const ptrdiff_t size[3] = {j->axis[0].output, j->axis[1].output, j->axis[2].output}, K = j->filters;
    const ptrdiff_t step[3] = {j->axis[0].dilation, j->axis[1].dilation, j->axis[2].dilation};
    const ptrdiff_t y_step[3] = {step[0] * size[1] * size[2] * K, step[1] * size[2] * K, step[2] * K};
    for (ptrdiff_t t = 0; t < count; t++) {
        const place p = place_of(j->axis, j->tiles, j->outputs, first + t);
        real *y_t = (real *)j->y + (((p.n * size[0] + p.at[0]) * size[1] + p.at[1]) * size[2] + p.at[2]) * K;
        const int inside = !j->pool[0] && !finishes(&j->finish) && box_inside(size, p.at, step, OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw]);
        for (ptrdiff_t k = 0; k < lanes; k += LANES) {
            const int direct = inside && k + LANES <= K;
            vec border[MAX_POINTS];
            const box from = {(real *)products + t * lanes + k,
                              {POINTS[fh] * POINTS[fw] * next, POINTS[fw] * next, next}};
            const box to = direct ? (box){y_t + k, {y_step[0], y_step[1], y_step[2]}}
                                  : dense_box(border, OUTPUTS[fh], OUTPUTS[fw]);
            const vec bias = j->bias ? load_part((const real *)j->bias + k, min_(K - k, LANES)) : (vec){0};
            transform_boxes(OUTPUT, fd, fh, fw, from, to, bias);
            if (j->pool[0])
                pool_box(j, OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw], &p, k, border);
            else if (!direct)
                store_box(j, OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw], &p, k, border);
        }
    }
}

/* A vector of elements that lie `step` apart; zeros past `valid`. */
FC_INLINE vec gather(const real *p, ptrdiff_t step, ptrdiff_t valid)
{
    vec v = {0};
    if (valid == LANES) {
        FC_UNROLL(16)
        for (ptrdiff_t l = 0; l < LANES; l++) v[l] = p[l * step];
    } else {
        for (ptrdiff_t l = 0; l < valid; l++) v[l] = p[l * step];
    }
    return v;
}

/* Transformed weights of one panel and some channels. */
FC_INLINE void transform_weights(const int fd, const int fh, const int fw, const fc_winograd *j, ptrdiff_t index)
{
    const ptrdiff_t C = j->channels, lanes = blocks(j->filters, LANES) * LANES, c_blocks = blocks(C, WINOGRAD_CHANNELS);
    const ptrdiff_t c0 = index % c_blocks * WINOGRAD_CHANNELS, first = index / c_blocks * PANEL;
    const ptrdiff_t width = min_(lanes - first, PANEL), step = j->filter_step;
    const int points = POINTS[fd] * POINTS[fh] * POINTS[fw];
    for (ptrdiff_t c = c0; c < min_(C, c0 + WINOGRAD_CHANNELS); c++)
        for (ptrdiff_t v = 0; v < width; v += LANES) {
            const ptrdiff_t k = first + v, valid = min_(j->filters - k, LANES);
            const real *w = (const real *)j->weights + c * j->channel_step + k * step;
            vec a[MAX_POINTS], b[MAX_POINTS], *out = a;
            for (int d = 0; d < TAPS[fd]; d++)
                for (int h = 0; h < TAPS[fh]; h++)
                    for (int i = 0; i < TAPS[fw]; i++, out++) {
                        const real *w_t = w + d * j->tap_step[0] + h * j->tap_step[1] + i * j->tap_step[2];
                        *out = step == 1 ? load_part(w_t, valid) : gather(w_t, step, valid);
                    }
            const vec *u = transform_box(KERNEL, fd, fh, fw, a, b);
            real *to = (real *)j->transformed + first * C + c * width + v;
            for (int i = 0; i < points; i++) store(to + i * plane(C, j->filters), u[i]);
        }
}

typedef struct {
    int filters[3];
    void (*weights)(const fc_winograd *, ptrdiff_t);
    void (*inputs)(const fc_winograd *, ptrdiff_t, ptrdiff_t, real *);
    void (*outputs)(const fc_winograd *, ptrdiff_t, ptrdiff_t, const real *);
} variant;

#define FUNCTIONS(d, h, w)                                                                                           \
    static void weights_##d##h##w(const fc_winograd *j, ptrdiff_t index) { transform_weights(d, h, w, j, index); }    \
    static void inputs_##d##h##w(const fc_winograd *j, ptrdiff_t first, ptrdiff_t count, real *to)                    \
    {                                                                                                                \
        transform_inputs(d, h, w, j->axis, j->tiles, j->channels, j->x, j->block, first, count, to);                  \
    }                                                                                                                \
    static void outputs_##d##h##w(const fc_winograd *j, ptrdiff_t first, ptrdiff_t count, const real *products)       \
    {                                                                                                                \
        transform_outputs(d, h, w, j, first, count, products);                                                        \
    }
FC_WINOGRAD(FUNCTIONS)
#define VARIANT(d, h, w) {{d, h, w}, weights_##d##h##w, inputs_##d##h##w, outputs_##d##h##w},
static const variant variants[] = {FC_WINOGRAD(VARIANT)};

static const variant *variant_of(const fc_winograd *j)
{
    for (const variant *v = variants;; v++)
        if (is_variant(v->filters, j->axis, j->outputs)) return v;
}

void FC_NAME(winograd_weights)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    variant_of(job)->weights(job, index);
}

void FC_NAME(winograd_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_winograd *j = job;
    const variant *v = variant_of(j);
    const int points = POINTS[v->filters[0]] * POINTS[v->filters[1]] * POINTS[v->filters[2]];
    const ptrdiff_t first = index * j->block, all = j->batch * j->tiles[0] * j->tiles[1] * j->tiles[2];
    const ptrdiff_t count = min_(all - first, j->block);
    real *inputs = scratch, *products = inputs + points * plane(j->block, j->channels);
    v->inputs(j, first, count, inputs);
    multiply_points(j, points, count, inputs, products);
    v->outputs(j, first, count, products);
}
