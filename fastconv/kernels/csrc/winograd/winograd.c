/* winograd.c: Winograd convolution: transformed weights, then forward by blocks of Winograd tiles that stay in cache.
 *
 * A block's inputs are transformed to [point][tile][channel]; each point multiplies its (tiles, channels) with its
 * transformed weights (channels, filters) in register tiles; the products are transformed back, a tile and a vector of
 * filters at a time, given their bias, and stored, or max-pooled first. Everything between x and y is scratch.
 *
 * A row of taps in pieces is a sum over pieces, each of which multiplies the inputs some tiles further on.
 *
 * Where there are more filters than tiles the weights are what passes through the caches: then the inputs are transformed
 * once for all (winograd_inputs), tiles of the job have a part of the filters each, and weights that nobody keeps are
 * transformed where they are used and never leave the cache.
 */
#include "pool/pool_window.h"
#include "winograd_tiles.h"

/* Transformed weights, or `depth` channels of a part of them: where point 0's first panel is, and from one to the next. */
typedef struct {
    const real *at;
    ptrdiff_t point, depth;
} factor;

/* Tiles whose inputs are transformed for a block. */
FC_INLINE ptrdiff_t block_inputs(const fc_winograd *j) { return j->block + tiles_after(j->axis, j->pieces); }

/* products[point][tile][filter] of a block and a part of `width` lanes, = or (add) += those of `depth` channels, of which
 * the weights' stand from row `first` on. */
static void multiply_points(const fc_winograd *j, int points, ptrdiff_t count, const real *inputs, factor weights,
                            ptrdiff_t first, ptrdiff_t depth, int add, ptrdiff_t width, real *products)
{
    const ptrdiff_t a_row = blocks(j->channels, LANES) * LANES, cuts = blocks(count, BLOCK);
    for (int p = 0; p < points; p++) {
        const real *a = inputs + p * plane(block_inputs(j), j->channels), *b = weights.at + p * weights.point;
        real *out = products + p * plane(j->block, j->part);
        for (ptrdiff_t k = 0; k < width; k += PANEL)
            for (ptrdiff_t i = 0, t = 0; i < cuts; i++) { /* they differ by one tile at most */
                const ptrdiff_t rows = (count + i) / cuts, vectors = min_(width - k, PANEL) / LANES;
                const ptrdiff_t next = k + PANEL < width ? weights.depth * PANEL : weights.point - k * weights.depth;
                const real *b_k = b + k * weights.depth + first * vectors * LANES, *ahead = i ? b_k : b_k + next;
                const fc_factors f = {depth, a_row, vectors * LANES, vectors * LANES, {ahead, ahead + LANES}, add};
                FC_NAME(product_block)(&f, rows, vectors, a + t * a_row, b_k, out + t * width + k, width);
                t += rows;
            }
    }
}

/* The outputs of one tile, clipped to y. */
FC_INLINE void store_box(const fc_winograd *j, const int d1, const int h1, const int w1, const place *p, ptrdiff_t k,
                         const vec *from)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t lanes = min_(j->filters - k, LANES), pixel = j->groups * j->filters, step = W->dilation * pixel;
    for (int d = 0; d < d1; d++)
        for (int h = 0; h < h1; h++, from += w1) {
            const ptrdiff_t od = p->at[0] + d * D->dilation, oh = p->at[1] + h * H->dilation, ow = p->at[2];
            if (od >= D->output || oh >= H->output) continue;
            const ptrdiff_t at = (((p->n * D->output + od) * H->output + oh) * W->output + ow) * pixel + k;
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
    const ptrdiff_t *pool = j->pool, lanes = min_(j->filters - k, LANES), pixel = j->groups * j->filters;
    const ptrdiff_t D = j->axis[0].output / pool[0], H = j->axis[1].output / pool[1], W = j->axis[2].output / pool[2];
    const ptrdiff_t step[3] = {h1 * w1 * LANES, w1 * LANES, LANES};
    for (ptrdiff_t d = 0; d < d1 / pool[0]; d++)
        for (ptrdiff_t h = 0; h < h1 / pool[1]; h++) {
            const ptrdiff_t od = p->at[0] / pool[0] + d, oh = p->at[1] / pool[1] + h, ow = p->at[2] / pool[2];
            if (od >= D || oh >= H) continue;
            const real *cell = (const real *)(from + (d * pool[0] * h1 + h * pool[1]) * w1);
            const ptrdiff_t at = (((p->n * D + od) * H + oh) * W + ow) * pixel + k;
            pool_any(pool, min_(w1 / pool[2], W - ow), lanes, cell, step, j->finish.relu, pixel, (real *)j->y + at,
                     (uint8_t *)j->index + at);
        }
}

FC_INLINE void transform_outputs(const int fd, const int fh, const int fw, const fc_winograd *j, ptrdiff_t first,
                                 ptrdiff_t count, ptrdiff_t left, ptrdiff_t width, const real *restrict products)
{
    const ptrdiff_t next = plane(j->block, j->part);
    const ptrdiff_t size[3] = {j->axis[0].output, j->axis[1].output, j->axis[2].output}, K = j->filters;
    const ptrdiff_t pixel = j->groups * K;
    const ptrdiff_t step[3] = {j->axis[0].dilation, j->axis[1].dilation, j->axis[2].dilation};
    const ptrdiff_t y_step[3] = {step[0] * size[1] * size[2] * pixel, step[1] * size[2] * pixel, step[2] * pixel};
    for (ptrdiff_t t = 0; t < count; t++) {
        const place p = place_of(j->axis, j->tiles, j->outputs, first + t);
        if (p.at[2] >= size[2]) continue; /* others read its inputs */
        real *y_t = (real *)j->y + (((p.n * size[0] + p.at[0]) * size[1] + p.at[1]) * size[2] + p.at[2]) * pixel;
        const int inside = !j->pool[0] && !finishes(&j->finish) && !j->finish.map
                           && box_inside(size, p.at, step, OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw]);
        for (ptrdiff_t k = left; k < left + width; k += LANES) {
            const int direct = inside && k + LANES <= K;
            vec border[MAX_POINTS];
            const box from = {(real *)products + t * width + k - left,
                              {POINTS[fh] * POINTS[fw] * next, POINTS[fw] * next, next}};
            const box to = direct ? (box){y_t + k, {y_step[0], y_step[1], y_step[2]}}
                                  : dense_box(border, OUTPUTS[fh], OUTPUTS[fw]);
            const vec bias = j->bias ? load_part((const real *)j->bias + k, min_(K - k, LANES)) : (vec){0};
            transform_boxes(OUTPUT, fd, fh, fw, from, to, bias);
            if (j->finish.map)
                FC_NAME(map_rows)(&j->finish, (real *)border, 1, 0, OUTPUTS[fd] * OUTPUTS[fh] * OUTPUTS[fw] * LANES);
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

/* Transformed weights of the panel that begins with filter `first`, and `count` channels from c0 on, counted over pieces;
 * points lie `next` apart. */
FC_INLINE void transform_weights(const int fd, const int fh, const int fw, const fc_winograd *j, ptrdiff_t first,
                                 ptrdiff_t c0, ptrdiff_t count, real *restrict to, ptrdiff_t next)
{
    const ptrdiff_t lanes = blocks(j->filters, LANES) * LANES, width = min_(lanes - first, PANEL), step = j->filter_step;
    const int points = POINTS[fd] * POINTS[fh] * POINTS[fw];
    for (ptrdiff_t c = c0; c < c0 + count; c++) {
        const ptrdiff_t before = fw == F44 ? c / j->channels * TAPS[fw] : 0; /* taps of earlier pieces */
        const real *w_c = (const real *)j->weights + before * j->tap_step[2] + (fw == F44 ? c % j->channels : c) * j->channel_step;
        for (ptrdiff_t v = 0; v < width; v += LANES, to += LANES) {
            const ptrdiff_t k = first + v, valid = min_(j->filters - k, LANES);
            const real *w = w_c + k * step;
            vec scale = (vec){0} + 1;
            if (j->scale) scale = load_part((const real *)j->scale + k, valid);
            vec a[MAX_POINTS], b[MAX_POINTS], *out = a;
            for (int d = 0; d < TAPS[fd]; d++)
                for (int h = 0; h < TAPS[fh]; h++)
                    for (int i = 0; i < TAPS[fw]; i++, out++) {
                        const real *w_t = w + d * j->tap_step[0] + h * j->tap_step[1] + i * j->tap_step[2];
                        if (fw == F44 && before + i >= j->axis[2].taps)
                            *out = (vec){0};
                        else
                            *out = scale * (step == 1 ? load_part(w_t, valid) : gather(w_t, step, valid));
                    }
            const vec *u = transform_box(KERNEL, fd, fh, fw, a, b);
            for (int i = 0; i < points; i++) store(to + i * next, u[i]);
        }
    }
}

/* What a combination does, in the order of winograd_variants. */
typedef struct {
    void (*weights)(const fc_winograd *, ptrdiff_t, ptrdiff_t, ptrdiff_t, real *, ptrdiff_t);
    void (*outputs)(const fc_winograd *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, const real *);
} stages;

#define FUNCTIONS(d, h, w)                                                                                           \
    static void weights_##d##h##w(const fc_winograd *j, ptrdiff_t first, ptrdiff_t c, ptrdiff_t count, real *to,      \
                                  ptrdiff_t next)                                                                    \
    {                                                                                                                \
        transform_weights(d, h, w, j, first, c, count, to, next);                                                    \
    }                                                                                                                \
    static void outputs_##d##h##w(const fc_winograd *j, ptrdiff_t first, ptrdiff_t count, ptrdiff_t left,             \
                                  ptrdiff_t width, const real *products)                                             \
    {                                                                                                                \
        transform_outputs(d, h, w, j, first, count, left, width, products);                                          \
    }
FC_WINOGRAD(FUNCTIONS)
#define STAGES(d, h, w) {weights_##d##h##w, outputs_##d##h##w},
static const stages stages_of[] = {FC_WINOGRAD(STAGES)};

static int number_of(const fc_winograd *j) { return FC_NAME(winograd_variant)(j->axis, j->outputs, j->pieces); }

/* NULL: there is none. */
static const variant *variant_of(const fc_winograd *j)
{
    const int number = number_of(j);
    return number < 0 ? NULL : &FC_NAME(winograd_variants)[number];
}

static void transform_block(const fc_winograd *j, ptrdiff_t first, ptrdiff_t count, real *to)
{
    variant_of(j)->inputs(j->axis, j->tiles, j->channels, j->groups * j->channels, j->x, block_inputs(j), first, count, to);
}

/* Of one group. */
static ptrdiff_t weights_size(const fc_winograd *j)
{
    return planes_size(variant_of(j)->filters, FC_PRODUCT(j->pieces, j->channels), j->filters);
}

/* The job of the group that tile `index` belongs to, of which each has so many tiles; the index becomes one of the group. */
static fc_winograd of_group(const void *job, ptrdiff_t each, ptrdiff_t *index)
{
    fc_winograd j = *(const fc_winograd *)job;
    const ptrdiff_t g = *index / each, made = g * j.filters;
    *index %= each;
    j.x = (const real *)j.x + g * j.channels;
    j.weights = (const real *)j.weights + g * j.group_step;
    j.y = (real *)j.y + made;
    if (j.bias) j.bias = (const real *)j.bias + made;
    if (j.scale) j.scale = (const real *)j.scale + made;
    if (j.index) j.index = (uint8_t *)j.index + made;
    if (g && j.transformed) j.transformed = (char *)j.transformed + g * weights_size(&j);
    return j;
}

ptrdiff_t FC_NAME(winograd_weights_size)(const void *job)
{
    const fc_winograd *j = job;
    return variant_of(j) ? FC_PRODUCT(j->groups, weights_size(j)) : -1;
}

ptrdiff_t FC_NAME(winograd_inputs_size)(const void *job)
{
    const fc_winograd *j = job;
    const variant *v = variant_of(j);
    const ptrdiff_t all = FC_PRODUCT(j->batch, j->tiles[0], j->tiles[1], j->tiles[2]);
    return v ? FC_PRODUCT(blocks(all, j->block), planes_size(v->filters, j->block, j->channels)) : -1;
}

/* Where things stand in the scratch of winograd_forward, in bytes; inputs first. */
typedef struct {
    ptrdiff_t products, weights, end;
} layout;

static layout layout_of(const fc_winograd *j, const variant *v)
{
    layout l;
    l.products = j->inputs ? 0 : planes_size(v->filters, block_inputs(j), j->channels);
    l.weights = l.products + planes_size(v->filters, j->block, j->part);
    l.end = l.weights + (j->transformed ? 0 : planes_size(v->filters, j->depth, j->part));
    return l;
}

ptrdiff_t FC_NAME(winograd_forward_size)(const void *job)
{
    const variant *v = variant_of(job);
    return v ? layout_of(job, v).end : -1;
}

void FC_NAME(winograd_weights)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_winograd *whole = job;
    const ptrdiff_t C = whole->pieces * whole->channels, lanes = blocks(whole->filters, LANES) * LANES;
    const ptrdiff_t panels = blocks(lanes, PANEL);
    const fc_winograd own = of_group(job, panels * blocks(C, WINOGRAD_CHANNELS), &index), *j = &own;
    const ptrdiff_t c = index / panels * WINOGRAD_CHANNELS, first = index % panels * PANEL; /* along the weights' rows */
    const ptrdiff_t width = min_(lanes - first, PANEL);
    stages_of[number_of(j)].weights(j, first, c, min_(C - c, WINOGRAD_CHANNELS), (real *)j->transformed + first * C + c * width,
                           plane(C, j->filters));
}

void FC_NAME(winograd_inputs)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_winograd *j = job;
    const variant *v = variant_of(j);
    const ptrdiff_t shares = blocks(j->block, j->share), block = index / shares, t = index % shares * j->share;
    const ptrdiff_t first = block * j->block + t, all = j->batch * j->tiles[0] * j->tiles[1] * j->tiles[2];
    const ptrdiff_t count = min_(min_(all - first, j->block - t), j->share);
    if (count > 0)
        transform_block(j, first, count, (real *)j->inputs + block * points_of(v->filters) * plane(j->block, j->channels)
                                             + t * blocks(j->channels, LANES) * LANES);
}

void FC_NAME(winograd_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_winograd *whole = job;
    const ptrdiff_t C = whole->channels, lanes = blocks(whole->filters, LANES) * LANES, parts = blocks(lanes, whole->part);
    const ptrdiff_t all =
        whole->batch * whole->tiles[0] * whole->tiles[1] * whole->tiles[2] - tiles_after(whole->axis, whole->pieces);
    const fc_winograd own = of_group(job, blocks(all, whole->block) * parts, &index), *j = &own;
    const variant *v = variant_of(j);
    const stages *stage = &stages_of[number_of(j)];
    const int points = points_of(v->filters);
    const ptrdiff_t block = index / parts, first = block * j->block, left = index % parts * j->part;
    const ptrdiff_t count = min_(all - first, j->block), width = min_(lanes - left, j->part);
    const layout at = layout_of(j, v);
    char *room = scratch;
    real *products = (real *)(room + at.products), *weights = (real *)(room + at.weights);
    const real *inputs = scratch;
    if (j->inputs)
        inputs = (const real *)j->inputs + block * points * plane(j->block, C);
    else
        transform_block(j, first, count + tiles_after(j->axis, j->pieces), scratch);
    if (j->transformed) {
        const ptrdiff_t row = blocks(C, LANES) * LANES, after = tiles_after(j->axis, 2), rows = j->pieces * C;
        const factor kept = {(const real *)j->transformed + left * rows, plane(rows, j->filters), rows};
        /* Where the next piece's channels stand behind this one's, a tile's pieces are one long row. */
        const ptrdiff_t depth = row == C && after == 1 ? rows : C;
        for (ptrdiff_t c = 0, i = 0; c < rows; c += depth, i++)
            multiply_points(j, points, count, inputs + i * after * row, kept, c, depth, c > 0, width, products);
    }
    for (ptrdiff_t c = 0; !j->transformed && c < C; c += j->depth) {
        const factor made = {weights, plane(j->depth, j->part), min_(C - c, j->depth)};
        for (ptrdiff_t k = 0; k < width; k += PANEL)
            stage->weights(j, left + k, c, made.depth, weights + k * made.depth, made.point);
        multiply_points(j, points, count, inputs + c, made, 0, made.depth, c > 0, width, products);
    }
    stage->outputs(j, first, count, left, width, products);
}
