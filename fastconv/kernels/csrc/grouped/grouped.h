/* grouped.h: rows of x, laid out for convolution in groups of few channels: vectors run over all groups' outputs.
 *
 * A vector of output channels needs, for each channel of a group, a plane: the vector of inputs that its lanes
 * multiply. The rows of x under a row of outputs are copied to scratch in that order, with zeros for padding of the
 * width, and stay there for the next rows: x is read once, in its own order, and a tap's inputs are then a fixed step
 * apart, whatever the channels, groups, stride and dilation. Where the channels are no whole number of vectors, the
 * last one reaches back over some that the one before it has done.
 */
#ifndef FC_GROUPED_H
#define FC_GROUPED_H

#include "ahead.h"
#include "sizes.h"

/* Loops in a function of their own keep their addresses in registers. */
#define NOINLINE static __attribute__((noinline))

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

/* Bytes of scratch, filled up to whole cache lines. */
FC_INLINE ptrdiff_t whole_lines(ptrdiff_t bytes) { return blocks(bytes, 64) * 64; }

/* Bytes of one vector's rows of x: an odd number of cache lines, which spreads vectors over the cache. */
FC_INLINE ptrdiff_t rows_size(ptrdiff_t slots, ptrdiff_t channels, ptrdiff_t wide)
{
    return (blocks(FC_PRODUCT(slots, channels, wide, LANES, sizeof(real)), 64) | 1) * 64;
}

/* The output channel where vector v starts: the last vector ends with the channels. */
FC_INLINE ptrdiff_t vector_start(ptrdiff_t v, ptrdiff_t channels) { return max_(min_(v * LANES, channels - LANES), 0); }

/* `maps` for vectors v to v + count. */
static void map_lanes(ptrdiff_t v, ptrdiff_t count, ptrdiff_t groups, ptrdiff_t channels, ptrdiff_t filters,
                      lane_map *maps)
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
    ptrdiff_t *held;                                         /* slot: which row of x it has, or -1 */
    real *data;                                              /* [vector][slot][plane][column][lane] */
    ptrdiff_t vectors, vector, slots, channels, pixel, wide; /* vector, pixel: steps in data and in x */
    int plain;                                               /* lanes are channels */
} row_cache;

FC_INLINE void forget_rows(const row_cache *r)
{
    for (ptrdiff_t s = 0; s < r->slots; s++) r->held[s] = -1;
}

/* Neighbouring vectors of channels, the last of them `last` after the first -> to[vector][column][lane]; two columns at
 * a time, so that cache lines are filled at once. */
NOINLINE void copy_vectors(const real *x, ptrdiff_t pixel, ptrdiff_t columns, ptrdiff_t vectors, ptrdiff_t last,
                           real *restrict to, ptrdiff_t vector)
{
    ptrdiff_t i = 0;
    for (; i + 2 <= columns; i += 2, x += 2 * pixel, to += 2 * LANES)
        for (ptrdiff_t v = 0; v < vectors; v++) {
            const real *at = x + min_(v * LANES, last);
            const vec first = load(at), second = load(at + pixel);
            store(to + v * vector, first);
            store(to + v * vector + LANES, second);
        }
    for (ptrdiff_t v = 0; v < vectors && i < columns; v++) store(to + v * vector, load(x + min_(v * LANES, last)));
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
    if (r->plain)
        copy_vectors(x + from * r->pixel + r->maps[0].base, r->pixel, end - from, r->vectors,
                     r->maps[r->vectors - 1].base - r->maps[0].base, to + from * LANES, r->vector);
    else
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

/* Where columns `left` to left + wide of x's row with the number `row` stand: in this slot, copied unless there. */
FC_INLINE const real *cached_row(const row_cache *r, ptrdiff_t slot, const void *x, ptrdiff_t row, ptrdiff_t width,
                                 ptrdiff_t left)
{
    real *to = r->data + slot * r->channels * r->wide * LANES;
    if (r->held[slot] != row) {
        const ptrdiff_t from = min_(max_(-left, 0), r->wide), end = max_(min_(width - left, r->wide), from);
        copy_row(r, (const real *)x + (row * width + left) * r->pixel, from, end, to);
    }
    r->held[slot] = row;
    return to;
}

/* x's next row, in an ask a vector. With strides there is too little to compute in the time that it takes to arrive. */
static ahead next_input(const fc_axis axis[3], const row_cache *r, const void *x, ptrdiff_t n, ptrdiff_t od,
                        ptrdiff_t oh, ptrdiff_t left)
{
    const fc_axis *D = &axis[0], *H = &axis[1], *W = &axis[2];
    const ptrdiff_t id = od * D->stride + (last_tap(D, od) - 1) * D->dilation + D->start;
    const ptrdiff_t ih = oh + 1 + (H->taps - 1) * H->dilation + H->start;
    const ptrdiff_t column = max_(left, 0), columns = min_(left + r->wide, W->input) - column;
    if (H->stride > 1 || last_tap(D, od) == 0 || ih < 0 || ih >= H->input) return (ahead){0};
    const ptrdiff_t at = ((n * D->input + id) * H->input + ih) * W->input + column;
    return ahead_of((const real *)x + at * r->pixel, columns * r->pixel, r->vectors);
}

#endif
