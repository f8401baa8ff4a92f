/* grouped.c: convolution in groups of few channels, down to depthwise's one: the vectors run over all groups' outputs.
 *
 * A vector of output channels needs, for each channel of a group, the vector of inputs that its lanes multiply. The rows
 * of x under a few outputs are copied to scratch in that order, one plane a channel, with zeros for the padding of the
 * width: each element of x is loaded once a vector, and a tap's inputs are then a fixed step apart, whatever the
 * channels, groups, stride and dilation. Forward, all stride phases of backward-input in one run (with steps that flip
 * the kernel), and backward-kernel.
 */
#include "vector.h"

enum { PIXELS = 8 }; /* of a register tile: as many chains as hide the latency of multiply-adds */

/* Lane l of v[index[l]]. */
FC_INLINE vec permute(vec v, ivec index)
{
#ifdef __clang__
    vec out;
    for (ptrdiff_t l = 0; l < LANES; l++) out[l] = v[index[l]];
    return out;
#else
    return __builtin_shuffle(v, index);
#endif
}

/* Where the lanes of a vector of output channels find the channels of their groups. */
typedef struct {
    ptrdiff_t lanes;               /* that are used */
    ptrdiff_t base;                /* the channel where a vector holds all that is read; -1: none does */
    int plain;                     /* lane l reads channel base + l */
    ptrdiff_t from[LANES];         /* the first channel of each lane's group */
    ivec index[FC_GROUP_CHANNELS]; /* plane: lane -> its place in the vector at base */
} lane_map;

static lane_map map_lanes(ptrdiff_t k, ptrdiff_t groups, ptrdiff_t channels, ptrdiff_t filters)
{
    lane_map m = {.lanes = min_(groups * filters, LANES), .base = -1, .plain = 0};
    for (ptrdiff_t l = 0; l < LANES; l++) m.from[l] = (k + min_(l, m.lanes - 1)) / filters * channels;
    if (groups * channels >= LANES && m.from[LANES - 1] + channels - m.from[0] <= LANES) {
        m.base = min_(m.from[0], groups * channels - LANES);
        m.plain = channels == 1 && filters == 1;
        for (ptrdiff_t c = 0; c < channels; c++)
            for (ptrdiff_t l = 0; l < LANES; l++) m.index[c][l] = m.from[l] + c - m.base;
    }
    return m;
}

/* The vector of channels after the one at k; the last one ends with the channels. */
FC_INLINE ptrdiff_t next_vector(ptrdiff_t k, ptrdiff_t channels)
{
    return k + LANES >= channels ? channels : min_(k + LANES, channels - LANES);
}

/* Columns `left` to left + wide of a row of x -> to[plane][column][lane]. */
static void copy_row(const lane_map *m, ptrdiff_t channels, ptrdiff_t pixel, const real *x, ptrdiff_t width,
                     ptrdiff_t left, ptrdiff_t wide, real *restrict to)
{
    const ptrdiff_t from = min_(max_(-left, 0), wide), end = max_(min_(width - left, wide), from);
    for (ptrdiff_t c = 0; c < channels; c++) {
        memset(to + c * wide * LANES, 0, from * LANES * sizeof(real));
        memset(to + (c * wide + end) * LANES, 0, (wide - end) * LANES * sizeof(real));
    }
    if (m->plain)
        for (ptrdiff_t i = from; i < end; i++) store(to + i * LANES, load(x + (left + i) * pixel + m->base));
    else if (m->base >= 0)
        for (ptrdiff_t i = from; i < end; i++) {
            const vec v = load(x + (left + i) * pixel + m->base);
            for (ptrdiff_t c = 0; c < channels; c++)
                store(to + (c * wide + i) * LANES, permute(v, m->index[c]));
        }
    else
        for (ptrdiff_t i = from; i < end; i++)
            for (ptrdiff_t c = 0; c < channels; c++) {
                vec v;
                for (ptrdiff_t l = 0; l < LANES; l++) v[l] = x[(left + i) * pixel + m->from[l] + c];
                store(to + (c * wide + i) * LANES, v);
            }
}

/* A tap row of one plane: its inputs from the first column on, and its weights [tap][lane]. */
typedef struct {
    const real *x, *w;
} tap_row;

/* How outputs of one row are computed: y = start + the sum over `count` tap rows. Steps count vectors. */
typedef struct {
    const tap_row *rows;
    ptrdiff_t count, taps, tap, pixel; /* tap, pixel: steps in x from tap to tap, and from output to output */
    vec start;
    ptrdiff_t lanes, y_pixel;
} row_job;

FC_INLINE void pixel_tile(const ptrdiff_t pixels, ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, const row_job *r,
                          ptrdiff_t ow, real *restrict y)
{
    vec acc[PIXELS];
    FC_UNROLL(8)
    for (ptrdiff_t m = 0; m < pixels; m++) acc[m] = r->start;
    for (ptrdiff_t i = 0; i < r->count; i++) {
        const real *x = r->rows[i].x + ow * pixel * LANES, *w = r->rows[i].w;
        for (ptrdiff_t t = 0; t < taps; t++) {
            const vec weight = load(w + t * LANES);
            FC_UNROLL(8)
            for (ptrdiff_t m = 0; m < pixels; m++) acc[m] += load(x + (t * tap + m * pixel) * LANES) * weight;
        }
    }
    y += ow * r->y_pixel;
    FC_UNROLL(8)
    for (ptrdiff_t m = 0; m < pixels; m++) store_part(y + m * r->y_pixel, acc[m], r->lanes);
}

/* The last register tile of a row reaches back over outputs that the one before it has done. */
FC_INLINE void row_tiles(ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, const row_job *r, ptrdiff_t columns, real *y)
{
    if (columns >= 8)
        for (ptrdiff_t ow = 0; ow < columns; ow += 8)
            pixel_tile(8, taps, tap, pixel, r, min_(ow, columns - 8), y);
    else if (columns >= 4)
        for (ptrdiff_t ow = 0; ow < columns; ow += 4)
            pixel_tile(4, taps, tap, pixel, r, min_(ow, columns - 4), y);
    else
        for (ptrdiff_t ow = 0; ow < columns; ow++) pixel_tile(1, taps, tap, pixel, r, ow, y);
}

static void row_of_3(const row_job *r, ptrdiff_t columns, real *y) { row_tiles(3, 1, 1, r, columns, y); }
static void row_of_3_by_2(const row_job *r, ptrdiff_t columns, real *y) { row_tiles(3, 1, 2, r, columns, y); }
static void row_of_1_step(const row_job *r, ptrdiff_t columns, real *y) { row_tiles(r->taps, r->tap, 1, r, columns, y); }
static void row_of_any(const row_job *r, ptrdiff_t columns, real *y)
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

/* The weights of one phase for the lanes of the vector at k -> packed[tap][plane][tap of the row][lane]. */
static void pack_vector(const fc_grouped *j, const fc_grouped_phase *p, ptrdiff_t k, ptrdiff_t lanes, real *packed)
{
    const ptrdiff_t rows = p->axis[0].taps * p->axis[1].taps, taps = p->axis[2].taps;
    ptrdiff_t at[LANES];
    for (ptrdiff_t l = 0; l < lanes; l++)
        at[l] = (k + l) % j->filters * j->filter_step + (k + l) / j->filters * j->group_step;
    for (ptrdiff_t row = 0; row < rows; row++)
        for (ptrdiff_t c = 0; c < j->channels; c++)
            for (ptrdiff_t t = 0; t < taps; t++, packed += LANES) {
                const real *w = (const real *)p->weights + row / p->axis[1].taps * p->tap_step[0]
                              + row % p->axis[1].taps * p->tap_step[1] + t * p->tap_step[2] + c * j->channel_step;
                for (ptrdiff_t l = 0; l < lanes; l++) packed[l] = w[at[l]];
                for (ptrdiff_t l = lanes; l < LANES; l++) packed[l] = 0;
            }
}

/* The rows of x that stand in scratch, in slots: row ih under depth tap td is in slot (td, ih % slots). */
typedef struct {
    ptrdiff_t *held; /* slot: which row of x it has, or -1 */
    real *data;      /* [slot][plane][column][lane] */
} row_cache;

/* The planes of row (id, ih) of the sample x, which has the number `row`; copied where they are not there yet. */
FC_INLINE const real *cached_row(const row_cache *cache, ptrdiff_t slot, const lane_map *m, ptrdiff_t channels,
                                 ptrdiff_t pixel, const void *x, ptrdiff_t row, ptrdiff_t width, ptrdiff_t left,
                                 ptrdiff_t wide)
{
    real *to = cache->data + slot * channels * wide * LANES;
    if (cache->held[slot] != row) copy_row(m, channels, pixel, (const real *)x + row * width * pixel, width, left, wide, to);
    cache->held[slot] = row;
    return to;
}

void FC_NAME(grouped_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_grouped *j = job;
    const ptrdiff_t row_blocks = blocks(j->output[1], j->rows), column_blocks = blocks(j->output[2], j->columns);
    const ptrdiff_t ow = tile % column_blocks * j->columns, row = tile / column_blocks % row_blocks * j->rows;
    const ptrdiff_t plane = tile / column_blocks / row_blocks, od = plane % j->output[0], n = plane / j->output[0];
    const ptrdiff_t K = j->groups * j->filters, pixel = j->groups * j->channels;
    const ptrdiff_t left = ow * j->phase[0].axis[2].stride + j->left;
    const row_cache cache = {scratch, (real *)((char *)scratch + j->data)};
    tap_row *rows = (tap_row *)((char *)scratch + j->table);
    real *packed = (real *)((char *)scratch + j->packed);

    for (ptrdiff_t k = 0; k < K; k = next_vector(k, K)) {
        const lane_map m = map_lanes(k, j->groups, j->channels, j->filters);
        real *w = packed;
        for (ptrdiff_t i = 0; i < j->phases; i++) {
            const fc_axis *a = j->phase[i].axis;
            pack_vector(j, &j->phase[i], k, m.lanes, w);
            w += a[0].taps * a[1].taps * a[2].taps * j->channels * LANES;
        }
        for (ptrdiff_t s = 0; s < j->depths * j->slots; s++) cache.held[s] = -1;
        for (ptrdiff_t oh = row; oh < min_(row + j->rows, j->output[1]); oh++) {
            w = packed;
            for (ptrdiff_t i = 0; i < j->phases; i++) {
                const fc_grouped_phase *p = &j->phase[i];
                const fc_axis *D = &p->axis[0], *H = &p->axis[1], *W = &p->axis[2];
                const ptrdiff_t columns = min_(j->columns, W->output - ow), tap_size = W->taps * LANES;
                const real *w_p = w;
                w += D->taps * H->taps * tap_size * j->channels;
                if (od >= D->output || oh >= H->output || columns <= 0) continue; /* the first phases may have one more */
                ptrdiff_t count = 0;
                for (ptrdiff_t td = first_tap(D, od); td < last_tap(D, od); td++)
                    for (ptrdiff_t th = first_tap(H, oh); th < last_tap(H, oh); th++) {
                        const ptrdiff_t id = od * D->stride + td * D->dilation + D->start;
                        const ptrdiff_t ih = oh * H->stride + th * H->dilation + H->start;
                        const real *x = cached_row(&cache, td * j->slots + ih % j->slots, &m, j->channels, pixel, j->x,
                                                   (n * D->input + id) * H->input + ih, W->input, left, j->wide);
                        for (ptrdiff_t c = 0; c < j->channels; c++)
                            rows[count++] = (tap_row){
                                x + (c * j->wide + W->start - j->left) * LANES,
                                w_p + ((td * H->taps + th) * j->channels + c) * tap_size,
                            };
                    }
                const row_job r = {
                    rows, count, W->taps, W->dilation, W->stride,
                    j->bias ? load_part((const real *)j->bias + k, m.lanes) : (vec){0}, m.lanes, j->y_step[3],
                };
                run_row(&r, columns, (real *)p->y + n * j->y_step[0] + od * j->y_step[1] + oh * j->y_step[2]
                                     + ow * j->y_step[3] + k);
            }
        }
    }
}

/* sum[row][tap] += x * dy over the outputs of a row; `sets` of accumulators take turns at them. Steps count vectors. */
FC_INLINE void tap_tile(const ptrdiff_t heights, const ptrdiff_t taps, const ptrdiff_t sets, ptrdiff_t tap,
                        ptrdiff_t pixel, ptrdiff_t pixels, const real *const *x, const real *dy, real *const *sum)
{
    const ptrdiff_t count = heights * taps;
    const real *at[3];
    vec acc[10];
    FC_UNROLL(3)
    for (ptrdiff_t h = 0; h < heights; h++) at[h] = x[h];
    FC_UNROLL(10)
    for (ptrdiff_t t = 0; t < count; t++) acc[t] = load(sum[t / taps] + t % taps * LANES);
    FC_UNROLL(10)
    for (ptrdiff_t t = count; t < count * sets; t++) acc[t] = (vec){0};
    ptrdiff_t p = 0;
    for (; p + sets <= pixels; p += sets) {
        FC_UNROLL(10)
        for (ptrdiff_t s = 0; s < sets; s++) {
            const vec g = load(dy + (p + s) * LANES);
            FC_UNROLL(10)
            for (ptrdiff_t t = 0; t < count; t++)
                acc[s * count + t] += load(at[t / taps] + (s * pixel + t % taps * tap) * LANES) * g;
        }
        FC_UNROLL(3)
        for (ptrdiff_t h = 0; h < heights; h++) at[h] += sets * pixel * LANES;
    }
    if (p < pixels) { /* at most one: there are at most two sets */
        const vec g = load(dy + p * LANES);
        FC_UNROLL(10)
        for (ptrdiff_t t = 0; t < count; t++) acc[t] += load(at[t / taps] + t % taps * tap * LANES) * g;
    }
    FC_UNROLL(10)
    for (ptrdiff_t t = 0; t < count; t++) {
        if (sets == 2) acc[t] += acc[count + t];
        store(sum[t / taps] + t % taps * LANES, acc[t]);
    }
}

static void taps_3x3(ptrdiff_t pixels, const real *const *x, const real *dy, real *const *sum)
{
    tap_tile(3, 3, 1, 1, 1, pixels, x, dy, sum);
}
static void taps_3x3_by_2(ptrdiff_t pixels, const real *const *x, const real *dy, real *const *sum)
{
    tap_tile(3, 3, 1, 1, 2, pixels, x, dy, sum);
}
/* One row of any number of taps. */
static void taps_of_row(ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, ptrdiff_t pixels, const real *x, const real *dy,
                        real *sum)
{
    for (ptrdiff_t t = 0; t < taps; x += 4 * tap * LANES, sum += 4 * LANES, t += 4) {
        if (taps - t == 5) {
            tap_tile(1, 5, 2, tap, pixel, pixels, &x, dy, &sum);
            return;
        }
        switch (taps - t) {
        case 1: tap_tile(1, 1, 2, tap, pixel, pixels, &x, dy, &sum); break;
        case 2: tap_tile(1, 2, 2, tap, pixel, pixels, &x, dy, &sum); break;
        case 3: tap_tile(1, 3, 2, tap, pixel, pixels, &x, dy, &sum); break;
        default: tap_tile(1, 4, 2, tap, pixel, pixels, &x, dy, &sum);
        }
    }
}

/* sums [td][plane][th][tw][lane] += the products of one row of outputs. */
static void add_row(const fc_grouped_kernel *j, const lane_map *m, const row_cache *cache, const real *zeros,
                    ptrdiff_t n, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t ow, const real *dy, real *sums)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t columns = min_(j->columns, W->output - ow), left = ow * W->stride + W->start;
    const ptrdiff_t pixel = j->groups * j->channels, size = H->taps * W->taps * LANES;
    const int by_3 = H->taps == 3 && W->taps == 3 && W->dilation == 1 && W->stride <= 2;
    for (ptrdiff_t td = first_tap(D, od); td < last_tap(D, od); td++) {
        const ptrdiff_t id = od * D->stride + td * D->dilation + D->start;
        const real *x[3] = {zeros, zeros, zeros};
        real *sum = sums + td * j->channels * size;
        for (ptrdiff_t th = first_tap(H, oh); th < last_tap(H, oh); th++) {
            const ptrdiff_t ih = oh * H->stride + th * H->dilation + H->start;
            const real *row = cached_row(cache, td * j->slots + ih % j->slots, m, j->channels, pixel, j->x,
                                         (n * D->input + id) * H->input + ih, W->input, left, j->wide);
            if (by_3)
                x[th] = row;
            else
                for (ptrdiff_t c = 0; c < j->channels; c++)
                    taps_of_row(W->taps, W->dilation, W->stride, columns, row + c * j->wide * LANES, dy,
                                sum + c * size + th * W->taps * LANES);
        }
        for (ptrdiff_t c = 0; by_3 && c < j->channels; c++, sum += size) {
            real *const to[3] = {sum, sum + 3 * LANES, sum + 6 * LANES};
            if (W->stride == 1)
                taps_3x3(columns, x, dy, to);
            else
                taps_3x3_by_2(columns, x, dy, to);
            for (ptrdiff_t h = 0; h < 3; h++)
                if (x[h] != zeros) x[h] += j->wide * LANES;
        }
    }
}

/* partial[tile] (taps, channels of a group, filters) = the sum over an even share of the outputs' rows, some at a time
 * for every vector of filters. */
void FC_NAME(grouped_backward_kernel)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_grouped_kernel *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t K = j->groups * j->filters, lanes = min_(K, LANES), column_blocks = blocks(W->output, j->columns);
    const ptrdiff_t rows = j->batch * D->output * column_blocks * H->output;
    const ptrdiff_t end = rows * (tile + 1) / j->slices;
    const ptrdiff_t height = H->taps * W->taps, size = D->taps * j->channels * height; /* vectors of sums */
    const row_cache cache = {scratch, (real *)((char *)scratch + j->data)};
    real *dy_row = (real *)((char *)scratch + j->row), *zeros = (real *)((char *)scratch + j->zeros);
    real *sums = (real *)((char *)scratch + j->sums);
    memset(zeros, 0, j->wide * LANES * sizeof(real));
    memset(sums, 0, blocks(K, LANES) * size * LANES * sizeof(real));

    for (ptrdiff_t first = rows * tile / j->slices; first < end; first += j->rows)
        for (ptrdiff_t k = 0, v = 0; k < K; k = next_vector(k, K), v++) {
            const lane_map m = map_lanes(k, j->groups, j->channels, j->filters);
            for (ptrdiff_t s = 0; s < D->taps * j->slots; s++) cache.held[s] = -1;
            for (ptrdiff_t i = first; i < min_(first + j->rows, end); i++) {
                const ptrdiff_t oh = i % H->output, ow = i / H->output % column_blocks * j->columns;
                const ptrdiff_t plane = i / H->output / column_blocks, od = plane % D->output, n = plane / D->output;
                const real *dy = (const real *)j->dy + ((plane * H->output + oh) * W->output + ow) * K + k;
                if (oh == 0)
                    for (ptrdiff_t s = 0; s < D->taps * j->slots; s++) cache.held[s] = -1; /* of other columns */
                for (ptrdiff_t p = 0; p < min_(j->columns, W->output - ow); p++)
                    store(dy_row + p * LANES, load_part(dy + p * K, lanes));
                add_row(j, &m, &cache, zeros, n, od, oh, ow, dy_row, sums + v * size * LANES);
            }
        }
    for (ptrdiff_t k = 0, v = 0; k < K; k = next_vector(k, K), v++)
        for (ptrdiff_t t = 0; t < D->taps * height; t++)
            for (ptrdiff_t c = 0; c < j->channels; c++) {
                const real *sum = sums + (v * size + (t / height * j->channels + c) * height + t % height) * LANES;
                store_part((real *)j->partial + ((tile * D->taps * height + t) * j->channels + c) * K + k, load(sum), lanes);
            }
}
