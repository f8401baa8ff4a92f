/* winograd_tiles.h: what Winograd's forward and kernel gradient share: where a tile lies, and its transformed input.
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

/* Whether these filters have the axes' taps and the asked numbers of outputs. */
FC_INLINE int is_variant(const int filters[3], const fc_axis axis[3], const ptrdiff_t outputs[3])
{
    for (int i = 0; i < 3; i++)
        if (TAPS[filters[i]] != axis[i].taps || OUTPUTS[filters[i]] != outputs[i]) return 0;
    return 1;
}

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

/* The cells of one tile, `points` on each axis from `start` on and `step` apart, for one vector of channels; zeros
 * outside of `size`. */
FC_INLINE void load_box(const int d1, const int h1, const int w1, const ptrdiff_t size[3], const ptrdiff_t start[3],
                        const ptrdiff_t step[3], ptrdiff_t channels, const real *x, ptrdiff_t lanes, vec *out)
{
    const int inside = start[2] >= 0 && start[2] + (w1 - 1) * step[2] < size[2];
    for (int d = 0; d < d1; d++)
        for (int h = 0; h < h1; h++, out += w1) {
            const ptrdiff_t id = start[0] + d * step[0], ih = start[1] + h * step[1];
            if (id < 0 || id >= size[0] || ih < 0 || ih >= size[1]) {
                for (int w = 0; w < w1; w++) out[w] = (vec){0};
                continue;
            }
            const real *row = x + ((id * size[1] + ih) * size[2] + start[2]) * channels;
            if (inside && lanes == LANES)
                for (int w = 0; w < w1; w++) out[w] = load(row + w * step[2] * channels);
            else
                for (int w = 0; w < w1; w++) {
                    const ptrdiff_t iw = start[2] + w * step[2];
                    out[w] = iw >= 0 && iw < size[2] ? load_part(row + w * step[2] * channels, lanes) : (vec){0};
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

/* to[point][tile][channel] = the transformed inputs of tiles `first` to `first + count`, in memory for `block` tiles. */
FC_INLINE void transform_inputs(const int fd, const int fh, const int fw, const fc_axis axis[3],
                                const ptrdiff_t tiles[3], ptrdiff_t channels, const void *x, ptrdiff_t block,
                                ptrdiff_t first, ptrdiff_t count, real *restrict to)
{
    const ptrdiff_t outputs[3] = {OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw]};
    const ptrdiff_t size[3] = {axis[0].input, axis[1].input, axis[2].input};
    const ptrdiff_t step[3] = {axis[0].dilation, axis[1].dilation, axis[2].dilation};
    const ptrdiff_t width = blocks(channels, LANES) * LANES, next = plane(block, channels);
    const ptrdiff_t x_step[3] = {step[0] * size[1] * size[2] * channels, step[1] * size[2] * channels,
                                 step[2] * channels};
    for (ptrdiff_t t = 0; t < count; t++) {
        const place p = place_of(axis, tiles, outputs, first + t);
        const ptrdiff_t start[3] = {p.at[0] + axis[0].start, p.at[1] + axis[1].start, p.at[2] + axis[2].start};
        const real *x_n = (const real *)x + p.n * size[0] * size[1] * size[2] * channels;
        const real *x_t = x_n + ((start[0] * size[1] + start[1]) * size[2] + start[2]) * channels;
        const int inside = box_inside(size, start, step, POINTS[fd], POINTS[fh], POINTS[fw]);
        for (ptrdiff_t c = 0; c < channels; c += LANES) {
            const ptrdiff_t lanes = min_(channels - c, LANES);
            vec border[MAX_POINTS];
            box from = {(real *)x_t + c, {x_step[0], x_step[1], x_step[2]}};
            if (!inside || lanes < LANES) {
                load_box(POINTS[fd], POINTS[fh], POINTS[fw], size, start, step, channels, x_n + c, lanes, border);
                from = dense_box(border, POINTS[fh], POINTS[fw]);
            }
            const box out = {to + t * width + c, {POINTS[fh] * POINTS[fw] * next, POINTS[fw] * next, next}};
            transform_boxes(INPUT, fd, fh, fw, from, out, (vec){0});
        }
    }
}

#endif
