/* grouped.c: convolution in groups of few channels, down to depthwise's one channel and filter: forward, and all stride
 * phases of backward-input in one run, where channels and filters change places and steps flip the kernel.
 *
 * A register tile is a few neighbouring outputs of one vector of channels. Its inputs come from rows laid out by
 * grouped.h, which hold zeros where the width is padded; rows outside the input are skipped.
 */
#include "grouped.h"

enum { PIXELS = 8 }; /* of a register tile: as many chains as hide the latency of multiply-adds */

/* The compiler must not look into how a pointer was made: it would keep each address that is a constant away from it in
 * a register of its own, and run out of them. */
#define ONE_REGISTER(pointer) __asm__("" : "+r"(pointer))

/* A tap row of one plane: its inputs from the first column on, and its weights [tap][lane]. */
typedef struct {
    const real *x, *w;
} tap_row;

/* How outputs of one row are computed: y = start + the sum over `count` tap rows. Steps count vectors. */
typedef struct {
    const tap_row *rows;
    ptrdiff_t count, taps, tap, pixel; /* tap, pixel: steps in x from tap to tap, and from output to output */
    ptrdiff_t x, w;                    /* of this vector of channels, from the rows' */
    vec start;
    ptrdiff_t y_pixel;
} row_job;

FC_INLINE void pixel_tile(const ptrdiff_t pixels, ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, const row_job *r,
                          ptrdiff_t ow, real *restrict y)
{
    vec acc[PIXELS];
    FC_UNROLL(8)
    for (ptrdiff_t m = 0; m < pixels; m++) acc[m] = r->start;
    for (ptrdiff_t i = 0; i < r->count; i++) {
        const real *x = r->rows[i].x + r->x + ow * pixel * LANES, *w = r->rows[i].w + r->w;
        ONE_REGISTER(x);
        for (ptrdiff_t t = 0; t < taps; t++) {
            const vec weight = load(w + t * LANES);
            FC_UNROLL(8)
            for (ptrdiff_t m = 0; m < pixels; m++) acc[m] += load(x + (t * tap + m * pixel) * LANES) * weight;
        }
    }
    y += ow * r->y_pixel;
    FC_UNROLL(8)
    for (ptrdiff_t m = 0; m < pixels; m++) store(y + m * r->y_pixel, acc[m]);
}

/* The last register tile of a row reaches back over outputs that the one before it has done. */
FC_INLINE void row_tiles(ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, const row_job *r, ptrdiff_t columns, real *y)
{
    if (columns >= 8)
        for (ptrdiff_t ow = 0; ow < columns; ow += 8)
            pixel_tile(8, taps, tap, pixel, r, min_(ow, columns - 8), y);
    else if (columns == 7)
        pixel_tile(7, taps, tap, pixel, r, 0, y);
    else if (columns >= 4)
        for (ptrdiff_t ow = 0; ow < columns; ow += 4)
            pixel_tile(4, taps, tap, pixel, r, min_(ow, columns - 4), y);
    else
        for (ptrdiff_t ow = 0; ow < columns; ow++) pixel_tile(1, taps, tap, pixel, r, ow, y);
}

NOINLINE void row_of_3(const row_job *r, ptrdiff_t columns, real *y) { row_tiles(3, 1, 1, r, columns, y); }
NOINLINE void row_of_3_by_2(const row_job *r, ptrdiff_t columns, real *y) { row_tiles(3, 1, 2, r, columns, y); }
NOINLINE void row_of_1_step(const row_job *r, ptrdiff_t columns, real *y)
{
    row_tiles(r->taps, r->tap, 1, r, columns, y);
}
NOINLINE void row_of_any(const row_job *r, ptrdiff_t columns, real *y)
{
    row_tiles(r->taps, r->tap, r->pixel, r, columns, y);
}
static void run_row(const row_job *r, ptrdiff_t columns, real *y)
{
    if (r->taps == 3 && r->tap == 1 && r->pixel == 1)
        row_of_3(r, columns, y);
    else if (r->taps == 3 && r->tap == 1 && r->pixel == 2)
        row_of_3_by_2(r, columns, y);
    else if (r->pixel == 1)
        row_of_1_step(r, columns, y);
    else
        row_of_any(r, columns, y);
}

/* The weights of one phase for the lanes of the vector at k -> packed[tap row][plane][tap][lane]. */
static void pack_vector(const fc_grouped *j, const fc_grouped_phase *p, ptrdiff_t k, ptrdiff_t lanes, real *packed)
{
    const ptrdiff_t rows = p->axis[0].taps * p->axis[1].taps, taps = p->axis[2].taps;
    ptrdiff_t at[LANES];
    int run = 1; /* the lanes' weights lie side by side */
    for (ptrdiff_t l = 0; l < lanes; l++) {
        at[l] = (k + l) % j->filters * j->filter_step + (k + l) / j->filters * j->group_step;
        run &= at[l] == at[0] + l;
    }
    for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t c = 0; c < j->channels; c++)
            for (ptrdiff_t t = 0; t < taps; t++, packed += LANES) {
                const real *w = (const real *)p->weights + row / p->axis[1].taps * p->tap_step[0]
                              + row % p->axis[1].taps * p->tap_step[1] + t * p->tap_step[2] + c * j->channel_step;
                if (run)
                    store(packed, load_part(w + at[0], lanes));
                else
                    for (ptrdiff_t l = 0; l < LANES; l++) packed[l] = w[at[min_(l, lanes - 1)]];
            }
}

FC_INLINE ptrdiff_t phase_weights(const fc_grouped *j, ptrdiff_t i)
{
    const fc_axis *a = j->phase[i].axis;
    return a[0].taps * a[1].taps * a[2].taps * j->channels * LANES;
}

/* The outputs of one phase in row (n, depth, height, column) of a tile, for the vectors of channels from v on. Their
 * weights are `weights` apart. */
static void phase_row(const fc_grouped *j, const fc_grouped_phase *p, const row_cache *cache, tap_row *rows,
                      const real *packed, ptrdiff_t weights, ptrdiff_t v, const ptrdiff_t o[4], real *part)
{
    const fc_axis *D = &p->axis[0], *H = &p->axis[1], *W = &p->axis[2];
    const ptrdiff_t n = o[0], od = o[1], oh = o[2], ow = o[3], columns = min_(j->columns, W->output - ow);
    const ptrdiff_t K = j->groups * j->filters, lanes = min_(K, LANES), left = ow * W->stride + j->left;
    if (od >= D->output || oh >= H->output || columns <= 0) return; /* the first phases may have one more than others */
    row_job r = {.rows = rows, .taps = W->taps, .tap = W->dilation, .pixel = W->stride, .y_pixel = j->y_step[3]};
    for (ptrdiff_t td = first_tap(D, od); td < last_tap(D, od); td++)
        for (ptrdiff_t th = first_tap(H, oh); th < last_tap(H, oh); th++) {
            const ptrdiff_t id = od * D->stride + td * D->dilation + D->start;
            const ptrdiff_t ih = oh * H->stride + th * H->dilation + H->start;
            const real *x = cached_row(cache, td * j->slots + ih % j->slots, j->x, (n * D->input + id) * H->input + ih,
                                       W->input, left);
            for (ptrdiff_t c = 0; c < j->channels; c++)
                rows[r.count++] = (tap_row){
                    x + (c * j->wide + W->start - j->left) * LANES,
                    packed + ((td * H->taps + th) * j->channels + c) * W->taps * LANES,
                };
        }
    const int whole = cache->vectors == blocks(K, LANES); /* else other vectors' channels lie between */
    const ahead next = next_input(p->axis, cache, j->x, n, od, oh, left);
    real *y = (real *)p->y + n * j->y_step[0] + od * j->y_step[1] + oh * j->y_step[2] + ow * j->y_step[3];
    const ptrdiff_t ahead_y = oh + 1 < H->output && j->y_step[3] == K ? columns * K : 0;
    const ahead next_y = ahead_of(y + (ahead_y ? j->y_step[2] : 0), ahead_y, cache->vectors);
    for (ptrdiff_t i = 0; i < cache->vectors; i++) {
        const ptrdiff_t k = vector_start(v + i, K);
        if (whole) {
            ask(0, &next, i);
            ask(1, &next_y, i);
        }
        r.x = i * cache->vector, r.w = i * weights;
        r.start = j->bias ? load_part((const real *)j->bias + k, lanes) : (vec){0};
        if (lanes == LANES) {
            run_row(&r, columns, y + k);
            continue;
        }
        r.y_pixel = LANES;
        run_row(&r, columns, part);
        for (ptrdiff_t w = 0; w < columns; w++) store_part(y + w * j->y_step[3] + k, load(part + w * LANES), lanes);
    }
}

ptrdiff_t FC_NAME(grouped_rows_size)(const void *job)
{
    const fc_grouped *j = job;
    return rows_size(j->depths * j->slots, j->channels, j->wide);
}

/* Where the parts of scratch begin, in bytes: lanes' maps, tap rows, a row of y, weights, rows of x; and where they end.
 * What row a slot holds stands at 0. `weights` are one vector's, of all phases. */
typedef struct {
    ptrdiff_t maps, table, part, packed, data, end, weights;
} layout;

static layout layout_of(const fc_grouped *j)
{
    layout at = {0};
    ptrdiff_t rows = 0;
    for (ptrdiff_t i = 0; i < j->phases; i++) {
        rows = max_(rows, j->phase[i].axis[0].taps * j->phase[i].axis[1].taps);
        at.weights += phase_weights(j, i);
    }
    at.maps = whole_lines(FC_PRODUCT(j->depths, j->slots, sizeof(ptrdiff_t)));
    at.table = at.maps + whole_lines(FC_PRODUCT(j->vectors, sizeof(lane_map)));
    at.part = at.table + whole_lines(FC_PRODUCT(rows, j->channels, sizeof(tap_row)));
    at.packed = at.part + whole_lines(FC_PRODUCT(j->columns, LANES, sizeof(real)));
    at.data = at.packed + whole_lines(FC_PRODUCT(j->vectors, at.weights, sizeof(real)));
    at.end = at.data + FC_PRODUCT(j->vectors, FC_NAME(grouped_rows_size)(j));
    return at;
}

ptrdiff_t FC_NAME(grouped_forward_size)(const void *job) { return layout_of(job).end; }

void FC_NAME(grouped_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_grouped *j = job;
    const layout at = layout_of(j);
    const ptrdiff_t row_blocks = blocks(j->output[1], j->rows), column_blocks = blocks(j->output[2], j->columns);
    const ptrdiff_t row = tile / column_blocks % row_blocks * j->rows, plane = tile / column_blocks / row_blocks;
    const ptrdiff_t K = j->groups * j->filters, number = blocks(K, LANES), end = min_(row + j->rows, j->output[1]);
    tap_row *rows = (tap_row *)((char *)scratch + at.table);
    real *part = (real *)((char *)scratch + at.part); /* where y has less than a vector of channels */
    real *packed = (real *)((char *)scratch + at.packed);
    lane_map *maps = (lane_map *)((char *)scratch + at.maps);
    const ptrdiff_t vector = FC_NAME(grouped_rows_size)(j) / (ptrdiff_t)sizeof(real);
    row_cache cache = {
        maps, scratch, (real *)((char *)scratch + at.data), 0, vector, j->depths * j->slots, j->channels,
        j->groups * j->channels, j->wide, j->channels == 1 && j->filters == 1 && K >= LANES,
    };
    ptrdiff_t o[4] = {plane / j->output[0], plane % j->output[0], 0, tile % column_blocks * j->columns};

    for (ptrdiff_t v = 0; v < number; v += j->vectors) {
        cache.vectors = min_(j->vectors, number - v);
        map_lanes(v, cache.vectors, j->groups, j->channels, j->filters, maps);
        forget_rows(&cache);
        for (ptrdiff_t u = 0; u < cache.vectors; u++) {
            real *w = packed + u * at.weights;
            for (ptrdiff_t i = 0; i < j->phases; w += phase_weights(j, i++))
                pack_vector(j, &j->phase[i], vector_start(v + u, K), min_(K, LANES), w);
        }
        for (o[2] = row; o[2] < end; o[2]++) {
            const real *w = packed;
            for (ptrdiff_t i = 0; i < j->phases; w += phase_weights(j, i++))
                phase_row(j, &j->phase[i], &cache, rows, w, at.weights, v, o, part);
        }
    }
}
