/* winograd_tiles.h: what Winograd's forward and kernel gradient share: where a tile lies, and which transforms it has.
 *
 * Winograd tiles are counted over samples, depth, height and width. The transformed inputs of a block of them stand in
 * scratch as [point][tile][channel], with the channels padded to whole vectors.
 */
#ifndef FC_WINOGRAD_TILES_H
#define FC_WINOGRAD_TILES_H

#include "sizes.h"
#include "winograd.h"

/* A tile's sample and first output on each axis; its outputs lie `dilation` apart. */
typedef struct {
    ptrdiff_t n, at[3];
} place;

FC_INLINE place place_of(const fc_axis axis[3], const ptrdiff_t tiles[3], const ptrdiff_t outputs[3], ptrdiff_t tile)
{
    place p;
    for (int i = 2; i >= 0; i--) {
        const ptrdiff_t dilation = axis[i].dilation, t = tile % tiles[i];
        p.at[i] = t % dilation + t / dilation * dilation * outputs[i];
        tile /= tiles[i];
    }
    p.n = tile;
    return p;
}

/* Tiles past the last of some, which its last piece reads; neighbours of one phase lie `dilation` apart. */
FC_INLINE ptrdiff_t tiles_after(const fc_axis axis[3], ptrdiff_t pieces) { return (pieces - 1) * axis[2].dilation; }

/* Elements from one point to the next, for a block of rows (tiles of data, channels of weights): a step that spreads
 * the points over the cache's sets. */
FC_INLINE ptrdiff_t plane(ptrdiff_t block, ptrdiff_t channels)
{
    return FC_PRODUCT(block, blocks(channels, LANES), LANES) + 16;
}
FC_INLINE ptrdiff_t points_of(const int filters[3])
{
    return POINTS[filters[0]] * POINTS[filters[1]] * POINTS[filters[2]];
}
FC_INLINE ptrdiff_t planes_size(const int filters[3], ptrdiff_t block, ptrdiff_t channels)
{
    return FC_PRODUCT(points_of(filters), plane(block, channels), sizeof(real));
}

/* The cells of one tile, on each axis from `start` on and `step` apart, for one vector of channels, of which a pixel has
 * `pixel`; zeros outside of `size`. */
FC_INLINE void load_box(const int d1, const int h1, const int w1, const ptrdiff_t size[3], const ptrdiff_t start[3],
                        const ptrdiff_t step[3], ptrdiff_t pixel, const real *x, ptrdiff_t lanes, vec *out)
{
    const int inside = start[2] >= 0 && start[2] + (w1 - 1) * step[2] < size[2];
    for (int d = 0; d < d1; d++)
        for (int h = 0; h < h1; h++, out += w1) {
            const ptrdiff_t id = start[0] + d * step[0], ih = start[1] + h * step[1];
            if (id < 0 || id >= size[0] || ih < 0 || ih >= size[1]) {
                for (int w = 0; w < w1; w++) out[w] = (vec){0};
                continue;
            }
            const real *row = x + ((id * size[1] + ih) * size[2] + start[2]) * pixel;
            if (inside && lanes == LANES)
                for (int w = 0; w < w1; w++) out[w] = load(row + w * step[2] * pixel);
            else
                for (int w = 0; w < w1; w++) {
                    const ptrdiff_t iw = start[2] + w * step[2];
                    out[w] = iw >= 0 && iw < size[2] ? load_part(row + w * step[2] * pixel, lanes) : (vec){0};
                }
        }
}

/* Whether so many cells on each axis, from `start` on and `step` apart, lie within `size`. */
FC_INLINE int box_inside(const ptrdiff_t size[3], const ptrdiff_t start[3], const ptrdiff_t step[3], const int d,
                         const int h, const int w)
{
    return start[0] >= 0 && start[0] + (d - 1) * step[0] < size[0] && start[1] >= 0
           && start[1] + (h - 1) * step[1] < size[1] && start[2] >= 0 && start[2] + (w - 1) * step[2] < size[2];
}

/* One of FC_WINOGRAD's combinations: its filters, and its transform of inputs (winograd_inputs.c): to[point][tile][channel] of
 * tiles `first` to `first + count`, in memory for `block` tiles, of `channels` of the `pixel` that a pixel has. */
typedef struct {
    int filters[3];
    void (*inputs)(const fc_axis axis[3], const ptrdiff_t tiles[3], ptrdiff_t channels, ptrdiff_t pixel, const void *x,
                   ptrdiff_t block, ptrdiff_t first, ptrdiff_t count, real *to);
} variant;

/* The number of these axes' combination in that list, and it; negative: there is none. The sizes of scratch say so before any
 * tile runs. */
int FC_NAME(winograd_variant)(const fc_axis axis[3], const ptrdiff_t outputs[3], ptrdiff_t pieces);
extern const variant FC_NAME(winograd_variants)[];

#endif
