/* grouped.c: convolution in groups of few channels, down to depthwise's one: the vectors run over all groups' outputs.
 *
 * A vector of output channels needs, for each channel of a group, the vector of inputs that its lanes multiply. The rows
 * of x under a few outputs are copied to scratch in that order, one plane a channel, with zeros for the padding of the
 * width: each element of x is loaded once a vector, and a tap's inputs are then a fixed step apart, whatever the
 * channels, groups, stride and dilation. Forward, all stride phases of backward-input in one run (with steps that flip
 * the kernel), and backward-kernel.
 */
#include "vector.h"

/* Loops in a function of their own keep their addresses in registers. */
#define NOINLINE static __attribute__((noinline))

/* The compiler must not look into how a pointer was made: it would keep each address that is a constant away from it in
 * a register of its own, and run out of them. */
#define ONE_REGISTER(pointer) __asm__("" : "+r"(pointer))

enum { PIXELS = 8, LINE = 64 }; /* PIXELS of a register tile: as many chains as hide the latency of multiply-adds */

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

/* Where the lanes of one vector of output channels find the channels of their groups. */
typedef struct {
    ptrdiff_t base;                /* the channel where a vector holds all that is read; -1: none does */
    ptrdiff_t from[LANES];         /* the first channel of each lane's group */
    ivec index[FC_GROUP_CHANNELS]; /* plane: lane -> its place in the vector at base */
} lane_map;

/* The output channel where vector v starts: the last vector ends with the channels. */
FC_INLINE ptrdiff_t vector_start(ptrdiff_t v, ptrdiff_t channels)
{
    return max_(min_(v * LANES, channels - LANES), 0);
}

/* `maps` for vectors v to v + count. */
static void map_lanes(ptrdiff_t v, ptrdiff_t count, ptrdiff_t groups, ptrdiff_t channels, ptrdiff_t filters, lane_map *maps)
{
    const ptrdiff_t C = groups * channels, K = groups * filters;
    for (lane_map *m = maps; m < maps + count; m++, v++) {
        const ptrdiff_t k = vector_start(v, K);
        ptrdiff_t group = k / filters, filter = k % filters;
        for (ptrdiff_t l = 0; l < LANES; l++) {
            m->from[l] = min_(group, groups - 1) * channels;
            if (++filter == filters) filter = 0, group++;
        }
        m->base = -1;
        if (C < LANES || m->from[LANES - 1] + channels - m->from[0] > LANES) continue;
        m->base = min_(m->from[0], C - LANES);
        for (ptrdiff_t c = 0; c < channels; c++)
            for (ptrdiff_t l = 0; l < LANES; l++) m->index[c][l] = m->from[l] + c - m->base;
    }
}

/* The rows of x that stand in scratch, in slots: row ih under depth tap td is in slot (td, ih % slots). */
typedef struct {
    const lane_map *maps;
    ptrdiff_t *held; /* slot: which row of x it has, or -1 */
    real *data;      /* [vector][slot][plane][column][lane] */
    ptrdiff_t vectors, vector, slots, channels, pixel, wide; /* vector, pixel: steps in data and in x */
    int plain;       /* lanes are channels */
} row_cache;

static void forget_rows(const row_cache *r)
{
    for (ptrdiff_t s = 0; s < r->slots; s++) r->held[s] = -1;
}

/* x is under the first of `wide` columns; those before `from` and after `end` are padding. */
static void copy_row(const row_cache *r, const real *x, ptrdiff_t from, ptrdiff_t end, real *restrict to)
{
    const ptrdiff_t wide = r->wide;
    for (ptrdiff_t v = 0; v < r->vectors; v++)
        for (ptrdiff_t c = 0; c < r->channels; c++) {
            real *plane = to + v * r->vector + c * wide * LANES;
            for (ptrdiff_t i = 0; i < from; i++) store(plane + i * LANES, (vec){0});
            for (ptrdiff_t i = end; i < wide; i++) store(plane + i * LANES, (vec){0});
        }
    if (r->plain) { /* two columns at a time, so that lines are filled at once */
        ptrdiff_t i = from;
        for (; i + 2 <= end; i += 2)
            for (ptrdiff_t v = 0; v < r->vectors; v++) {
                const real *at = x + i * r->pixel + r->maps[v].base;
                const vec first = load(at), second = load(at + r->pixel);
                store(to + v * r->vector + i * LANES, first);
                store(to + v * r->vector + (i + 1) * LANES, second);
            }
        for (ptrdiff_t v = 0; v < r->vectors && i < end; v++)
            store(to + v * r->vector + i * LANES, load(x + i * r->pixel + r->maps[v].base));
    } else
        for (ptrdiff_t i = from; i < end; i++)
            for (ptrdiff_t v = 0; v < r->vectors; v++) {
                const lane_map *m = &r->maps[v];
                real *pixel = to + v * r->vector + i * LANES;
                if (m->base >= 0) {
                    const vec values = load(x + i * r->pixel + m->base);
                    for (ptrdiff_t c = 0; c < r->channels; c++)
                        store(pixel + c * wide * LANES, permute(values, m->index[c]));
                } else
                    for (ptrdiff_t c = 0; c < r->channels; c++)
                        for (ptrdiff_t l = 0; l < LANES; l++)
                            pixel[c * wide * LANES + l] = x[i * r->pixel + m->from[l] + c];
            }
}

/* Where columns `left` to left + wide of x's row with the number `row` stand in a slot, copied unless they are there. */
FC_INLINE const real *cached_row(const row_cache *r, ptrdiff_t slot, const void *x, ptrdiff_t row, ptrdiff_t width,
                                 ptrdiff_t left)
{
    real *to = r->data + slot * r->channels * r->wide * LANES;
    if (r->held[slot] != row) {
        const ptrdiff_t from = min_(max_(-left, 0), r->wide);
        copy_row(r, (const real *)x + (row * width + left) * r->pixel, from, max_(min_(width - left, r->wide), from), to);
    }
    r->held[slot] = row;
    return to;
}

/* Memory that only the next row of outputs touches, asked for while this row's vectors are computed. */
typedef struct {
    const real *start;
    ptrdiff_t count;
} ahead;

/* x's next row. With strides there is too little to compute in the time that it takes to arrive. */
static ahead next_input(const fc_axis axis[3], const row_cache *r, const void *x, ptrdiff_t n, ptrdiff_t od,
                        ptrdiff_t oh, ptrdiff_t left)
{
    const fc_axis *D = &axis[0], *H = &axis[1], *W = &axis[2];
    const ptrdiff_t id = od * D->stride + (last_tap(D, od) - 1) * D->dilation + D->start;
    const ptrdiff_t ih = oh + 1 + (H->taps - 1) * H->dilation + H->start;
    const ptrdiff_t column = max_(left, 0), columns = min_(left + r->wide, W->input) - column;
    if (H->stride > 1 || last_tap(D, od) == 0 || ih < 0 || ih >= H->input) return (ahead){0};
    const ptrdiff_t at = ((n * D->input + id) * H->input + ih) * W->input + column;
    return (ahead){(const real *)x + at * r->pixel, columns * r->pixel};
}

FC_INLINE void prefetch_share(const int write, const ahead *a, ptrdiff_t share, ptrdiff_t shares)
{
    for (ptrdiff_t at = a->count * share / shares; at < a->count * (share + 1) / shares; at += LINE / sizeof(real))
        __builtin_prefetch(a->start + at, write, 2);
}

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
NOINLINE void row_of_1_step(const row_job *r, ptrdiff_t columns, real *y) { row_tiles(r->taps, r->tap, 1, r, columns, y); }
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
    const ahead next = next_input(p->axis, cache, j->x, n, od, oh, left);
    real *y = (real *)p->y + n * j->y_step[0] + od * j->y_step[1] + oh * j->y_step[2] + ow * j->y_step[3];
    const ahead next_y = {y + j->y_step[2], oh + 1 < H->output && j->y_step[3] == K ? columns * K : 0};
    for (ptrdiff_t i = 0; i < cache->vectors; i++) {
        const ptrdiff_t k = vector_start(v + i, K);
        prefetch_share(0, &next, i, cache->vectors);
        prefetch_share(1, &next_y, i, cache->vectors);
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

void FC_NAME(grouped_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_grouped *j = job;
    const ptrdiff_t row_blocks = blocks(j->output[1], j->rows), column_blocks = blocks(j->output[2], j->columns);
    const ptrdiff_t row = tile / column_blocks % row_blocks * j->rows, plane = tile / column_blocks / row_blocks;
    const ptrdiff_t K = j->groups * j->filters, number = blocks(K, LANES), end = min_(row + j->rows, j->output[1]);
    tap_row *rows = (tap_row *)((char *)scratch + j->table);
    real *part = (real *)((char *)scratch + j->part); /* a row of y, where y has less than a vector of channels */
    real *packed = (real *)((char *)scratch + j->packed);
    lane_map *maps = (lane_map *)((char *)scratch + j->maps);
    row_cache cache = {
        maps, scratch, (real *)((char *)scratch + j->data), 0, j->vector, j->depths * j->slots, j->channels,
        j->groups * j->channels, j->wide, j->channels == 1 && j->filters == 1 && K >= LANES,
    };
    ptrdiff_t weights = 0, o[4] = {plane / j->output[0], plane % j->output[0], 0, tile % column_blocks * j->columns};
    for (ptrdiff_t i = 0; i < j->phases; i++) weights += phase_weights(j, i);

    for (ptrdiff_t v = 0; v < number; v += j->vectors) {
        cache.vectors = min_(j->vectors, number - v);
        map_lanes(v, cache.vectors, j->groups, j->channels, j->filters, maps);
        forget_rows(&cache);
        for (ptrdiff_t u = 0; u < cache.vectors; u++) {
            real *w = packed + u * weights;
            for (ptrdiff_t i = 0; i < j->phases; w += phase_weights(j, i++))
                pack_vector(j, &j->phase[i], vector_start(v + u, K), min_(K, LANES), w);
        }
        for (o[2] = row; o[2] < end; o[2]++) {
            const real *w = packed;
            for (ptrdiff_t i = 0; i < j->phases; w += phase_weights(j, i++))
                phase_row(j, &j->phase[i], &cache, rows, w, weights, v, o, part);
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

NOINLINE void taps_3x3(ptrdiff_t pixels, const real *const *x, const real *dy, real *const *sum)
{
    tap_tile(3, 3, 1, 1, 1, pixels, x, dy, sum);
}
NOINLINE void taps_3x3_by_2(ptrdiff_t pixels, const real *const *x, const real *dy, real *const *sum)
{
    tap_tile(3, 3, 1, 1, 2, pixels, x, dy, sum);
}
/* One row of any number of taps. */
NOINLINE void taps_of_row(ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, ptrdiff_t pixels, const real *x, const real *dy,
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

/* sums [vector][td][plane][th][tw][lane] += the products of one row of outputs, dy [vector][column][lane]. */
static void add_row(const fc_grouped_kernel *j, const row_cache *cache, const real *zeros, ptrdiff_t n, ptrdiff_t od,
                    ptrdiff_t oh, ptrdiff_t ow, const real *dy, const ahead *next_dy, real *sums)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t columns = min_(j->columns, W->output - ow), left = ow * W->stride + W->start;
    const ptrdiff_t plane = j->wide * LANES, size = H->taps * W->taps * LANES, all = D->taps * j->channels * size;
    const ahead next = next_input(j->axis, cache, j->x, n, od, oh, left);
    const int by_3 = H->taps == 3 && W->taps == 3 && W->dilation == 1 && W->stride <= 2;
    for (ptrdiff_t td = first_tap(D, od); td < last_tap(D, od); td++) {
        const ptrdiff_t id = od * D->stride + td * D->dilation + D->start;
        const real *rows[3] = {NULL};
        real *sum = sums + td * j->channels * size;
        for (ptrdiff_t th = first_tap(H, oh); th < last_tap(H, oh); th++) {
            const ptrdiff_t ih = oh * H->stride + th * H->dilation + H->start;
            const real *row = cached_row(cache, td * j->slots + ih % j->slots, j->x, (n * D->input + id) * H->input + ih,
                                         W->input, left);
            if (by_3)
                rows[th] = row;
            else
                for (ptrdiff_t v = 0; v < cache->vectors; v++)
                    for (ptrdiff_t c = 0; c < j->channels; c++)
                        taps_of_row(W->taps, W->dilation, W->stride, columns, row + v * cache->vector + c * plane,
                                    dy + v * j->columns * LANES, sum + v * all + c * size + th * W->taps * LANES);
        }
        for (ptrdiff_t v = 0; by_3 && v < cache->vectors; v++) {
            prefetch_share(0, &next, v, cache->vectors);
            prefetch_share(0, next_dy, v, cache->vectors);
            for (ptrdiff_t c = 0; c < j->channels; c++) {
                const real *x[3];
                real *to = sum + v * all + c * size, *const at[3] = {to, to + 3 * LANES, to + 6 * LANES};
                for (ptrdiff_t h = 0; h < 3; h++) x[h] = rows[h] ? rows[h] + v * cache->vector + c * plane : zeros;
                if (W->stride == 1)
                    taps_3x3(columns, x, dy + v * j->columns * LANES, at);
                else
                    taps_3x3_by_2(columns, x, dy + v * j->columns * LANES, at);
            }
        }
    }
}

/* sums [v to v + cache->vectors] = the sum over the slice's rows of outputs. */
static void add_slice(const fc_grouped_kernel *j, const row_cache *cache, ptrdiff_t v, ptrdiff_t slice, real *dy_row,
                      const real *zeros, real *sums)
{
    const ptrdiff_t depths = j->axis[0].output, heights = j->axis[1].output, width = j->axis[2].output;
    const ptrdiff_t column_blocks = blocks(width, j->columns), rows = j->batch * depths * column_blocks * heights;
    const ptrdiff_t K = j->groups * j->filters, lanes = min_(K, LANES);
    for (ptrdiff_t i = rows * slice / j->slices; i < rows * (slice + 1) / j->slices; i++) {
        const ptrdiff_t oh = i % heights, ow = i / heights % column_blocks * j->columns;
        const ptrdiff_t plane = i / heights / column_blocks, columns = min_(j->columns, width - ow);
        const real *dy = (const real *)j->dy + ((plane * heights + oh) * width + ow) * K;
        const ahead next_dy = {dy + width * K, oh + 1 < heights ? columns * K : 0};
        if (oh == 0) forget_rows(cache); /* they were of other columns */
        for (ptrdiff_t p = 0; p < columns; p++)
            for (ptrdiff_t u = 0; u < cache->vectors; u++)
                store(dy_row + (u * j->columns + p) * LANES, load_part(dy + p * K + vector_start(v + u, K), lanes));
        add_row(j, cache, zeros, plane / depths, plane % depths, oh, ow, dy_row, &next_dy, sums);
    }
}

/* partial[tile] (taps, channels of a group, filters) = the sum over an even share of the outputs' rows. */
void FC_NAME(grouped_backward_kernel)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_grouped_kernel *j = job;
    const ptrdiff_t K = j->groups * j->filters, number = blocks(K, LANES), depths = j->axis[0].taps;
    const ptrdiff_t height = j->axis[1].taps * j->axis[2].taps, size = depths * j->channels * height * LANES;
    real *dy_row = (real *)((char *)scratch + j->row), *zeros = (real *)((char *)scratch + j->zeros);
    real *sums = (real *)((char *)scratch + j->sums);
    lane_map *maps = (lane_map *)((char *)scratch + j->maps);
    row_cache cache = {
        maps, scratch, (real *)((char *)scratch + j->data), 0, j->vector, depths * j->slots, j->channels,
        j->groups * j->channels, j->wide, j->channels == 1 && j->filters == 1 && K >= LANES,
    };
    memset(zeros, 0, j->wide * LANES * sizeof(real));

    for (ptrdiff_t v = 0; v < number; v += j->vectors) {
        cache.vectors = min_(j->vectors, number - v);
        map_lanes(v, cache.vectors, j->groups, j->channels, j->filters, maps);
        forget_rows(&cache);
        memset(sums, 0, cache.vectors * size * sizeof(real));
        add_slice(j, &cache, v, tile, dy_row, zeros, sums);
        for (ptrdiff_t u = 0; u < cache.vectors; u++)
            for (ptrdiff_t t = 0; t < depths * height; t++)
                for (ptrdiff_t c = 0; c < j->channels; c++) {
                    const real *sum = sums + u * size + ((t / height * j->channels + c) * height + t % height) * LANES;
                    real *to = (real *)j->partial + ((tile * depths * height + t) * j->channels + c) * K;
                    store_part(to + vector_start(v + u, K), load(sum), min_(K, LANES));
                }
    }
}
