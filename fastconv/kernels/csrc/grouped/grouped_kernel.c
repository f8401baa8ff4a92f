/* grouped_kernel.c: the kernel gradient of a convolution in groups of few channels.
 *
 * A register tile is the sums of some taps, 3x3 where they are, of one channel of a group and one vector of filters: it
 * walks along a row of outputs. Inputs come from rows laid out by grouped.h; dy is laid out in the same way.
 */
#include "grouped.h"

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
NOINLINE void taps_of_row(ptrdiff_t taps, ptrdiff_t tap, ptrdiff_t pixel, ptrdiff_t pixels, const real *x,
                          const real *dy, real *sum)
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
    const int whole = cache->vectors == blocks(j->groups * j->filters, LANES);
    const ahead next = next_input(j->axis, cache, j->x, n, od, oh, left);
    const int by_3 = H->taps == 3 && W->taps == 3 && W->dilation == 1 && W->stride <= 2;
    for (ptrdiff_t td = first_tap(D, od); td < last_tap(D, od); td++) {
        const ptrdiff_t id = od * D->stride + td * D->dilation + D->start;
        const real *rows[3] = {NULL};
        real *sum = sums + td * j->channels * size;
        for (ptrdiff_t th = first_tap(H, oh); th < last_tap(H, oh); th++) {
            const ptrdiff_t ih = oh * H->stride + th * H->dilation + H->start;
            const real *row = cached_row(cache, td * j->slots + ih % j->slots, j->x,
                                         (n * D->input + id) * H->input + ih, W->input, left);
            if (by_3)
                rows[th] = row;
            else
                for (ptrdiff_t v = 0; v < cache->vectors; v++)
                    for (ptrdiff_t c = 0; c < j->channels; c++)
                        taps_of_row(W->taps, W->dilation, W->stride, columns, row + v * cache->vector + c * plane,
                                    dy + v * j->columns * LANES, sum + v * all + c * size + th * W->taps * LANES);
        }
        for (ptrdiff_t v = 0; by_3 && v < cache->vectors; v++) {
            if (whole) {
                ask(0, &next, v);
                ask(0, next_dy, v);
            }
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
    const ptrdiff_t K = j->groups * j->filters, lanes = min_(K, LANES), first = vector_start(v, K);
    const ptrdiff_t last = vector_start(v + cache->vectors - 1, K) - first;
    for (ptrdiff_t i = rows * slice / j->slices; i < rows * (slice + 1) / j->slices; i++) {
        const ptrdiff_t oh = i % heights, ow = i / heights % column_blocks * j->columns;
        const ptrdiff_t plane = i / heights / column_blocks, columns = min_(j->columns, width - ow);
        const real *dy = (const real *)j->dy + ((plane * heights + oh) * width + ow) * K;
        ahead next_dy = ahead_of(dy, 0, 1);
        if (oh + 1 < heights) next_dy = ahead_of(dy + width * K, columns * K, cache->vectors);
        if (oh == 0) forget_rows(cache); /* they were of other columns */
        if (lanes == LANES)
            copy_vectors(dy + first, K, columns, cache->vectors, last, dy_row, j->columns * LANES);
        else
            for (ptrdiff_t p = 0; p < columns; p++) store(dy_row + p * LANES, load_part(dy + p * K, lanes));
        add_row(j, cache, zeros, plane / depths, plane % depths, oh, ow, dy_row, &next_dy, sums);
    }
}

ptrdiff_t FC_NAME(grouped_kernel_rows_size)(const void *job)
{
    const fc_grouped_kernel *j = job;
    return rows_size(j->axis[0].taps * j->slots, j->channels, j->wide);
}

/* Where the parts of scratch begin, in bytes: lanes' maps, rows of dy, a row of zeros, sums, rows of x; and where they
 * end. What row a slot holds stands at 0. */
typedef struct {
    ptrdiff_t maps, row, zeros, sums, data, end;
} layout;

static layout layout_of(const fc_grouped_kernel *j)
{
    const ptrdiff_t taps = j->axis[0].taps * j->axis[1].taps * j->axis[2].taps;
    layout at;
    at.maps = whole_lines(FC_PRODUCT(j->axis[0].taps, j->slots, sizeof(ptrdiff_t)));
    at.row = at.maps + whole_lines(FC_PRODUCT(j->vectors, sizeof(lane_map)));
    at.zeros = at.row + whole_lines(FC_PRODUCT(j->vectors, j->columns, LANES, sizeof(real)));
    at.sums = at.zeros + whole_lines(FC_PRODUCT(j->wide, LANES, sizeof(real)));
    at.data = at.sums + whole_lines(FC_PRODUCT(j->vectors, taps, j->channels, LANES, sizeof(real)));
    at.end = at.data + FC_PRODUCT(j->vectors, FC_NAME(grouped_kernel_rows_size)(j));
    return at;
}

ptrdiff_t FC_NAME(grouped_backward_kernel_size)(const void *job) { return layout_of(job).end; }

/* partial[tile] (taps, channels of a group, filters) = the sum over an even share of the outputs' rows. */
void FC_NAME(grouped_backward_kernel)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_grouped_kernel *j = job;
    const ptrdiff_t K = j->groups * j->filters, number = blocks(K, LANES), depths = j->axis[0].taps;
    const ptrdiff_t height = j->axis[1].taps * j->axis[2].taps, size = depths * j->channels * height * LANES;
    const ptrdiff_t vector = FC_NAME(grouped_kernel_rows_size)(j) / (ptrdiff_t)sizeof(real);
    const layout at = layout_of(j);
    real *dy_row = (real *)((char *)scratch + at.row), *zeros = (real *)((char *)scratch + at.zeros);
    real *sums = (real *)((char *)scratch + at.sums);
    lane_map *maps = (lane_map *)((char *)scratch + at.maps);
    row_cache cache = {
        maps, scratch, (real *)((char *)scratch + at.data), 0, vector, depths * j->slots, j->channels,
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
