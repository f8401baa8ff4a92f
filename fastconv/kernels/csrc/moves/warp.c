/* warp.c: images read at other places, by projective maps or by a place a pixel, nearest or bilinear; and the gradient.
 *
 * Coordinates are double, cells whole numbers: pixel 0 is at 0. Past the ends stand the fill value, the end's cell, or the
 * image once more: wrapped, mirrored at the middle of the end's cell, or reflected at its outer edge. Bytes are rounded
 * half up. A map of whole steps (a flip, a crop) copies pixels, to the same bits.
 */
#include "sizes.h"
#include "vector.h"

#include <math.h>

typedef struct {
    double row, column;
} place;

/* Cell i, which may lie past the ends, among n; -1 for the fill value. */
FC_INLINE ptrdiff_t cell_of(ptrdiff_t i, ptrdiff_t n, int mode)
{
    if (i >= 0 && i < n) return i;
    if (mode == FC_WARP_CONSTANT) return -1;
    if (mode == FC_WARP_NEAREST || n == 1) return i < 0 ? 0 : n - 1;
    const ptrdiff_t period = mode == FC_WARP_WRAP ? n : mode == FC_WARP_MIRROR ? 2 * n - 2 : 2 * n;
    const ptrdiff_t rest = i % period, k = rest < 0 ? rest + period : rest;
    if (k < n) return k;
    return mode == FC_WARP_MIRROR ? period - k : period - 1 - k;
}

/* Far off, and not a number, is -2**30. */
FC_INLINE double tame(double at) { return at > -0x1p30 && at < 0x1p30 ? at : -0x1p30; }
FC_INLINE ptrdiff_t floor_of(double at)
{
    const ptrdiff_t cut = (ptrdiff_t)at;
    return cut - (at < (double)cut);
}

/* Where the pixels of output row `row` of sample n are read. */
FC_INLINE void places_of(const fc_warp *j, ptrdiff_t n, ptrdiff_t row, place *to)
{
    const ptrdiff_t columns = j->output[1];
    if (j->places) {
        const double *from = j->places + (n * j->output[0] + row) * columns * 2;
        for (ptrdiff_t i = 0; i < columns; i++) to[i] = (place){tame(from[2 * i]), tame(from[2 * i + 1])};
        return;
    }
    const double *m = j->maps + 8 * n, y = (double)row;
    const double x0 = m[1] * y + m[2], y0 = m[4] * y + m[5], k0 = m[7] * y + 1;
    if (m[6] == 0 && m[7] == 0)
        for (ptrdiff_t i = 0; i < columns; i++)
            to[i] = (place){tame(m[3] * (double)i + y0), tame(m[0] * (double)i + x0)};
    else
        for (ptrdiff_t i = 0; i < columns; i++) {
            const double k = m[6] * (double)i + k0;
            to[i] = (place){tame((m[3] * (double)i + y0) / k), tame((m[0] * (double)i + x0) / k)};
        }
}

FC_INLINE real value_at(const int bytes, const void *x, ptrdiff_t i)
{
    return bytes ? (real)((const uint8_t *)x)[i] : ((const real *)x)[i];
}
FC_INLINE void put(const int bytes, void *y, ptrdiff_t i, real value)
{
    if (bytes)
        ((uint8_t *)y)[i] = (uint8_t)(int)(value + (real)0.5);
    else
        ((real *)y)[i] = value;
}

/* Pixels `first` to `last` - 1 of a row, from an image of H rows and W columns. */
FC_INLINE void sample(const int bytes, const int nearest, const fc_warp *j, const place *at, const void *x, void *y,
                      const ptrdiff_t C)
{
    const ptrdiff_t H = j->input[0], W = j->input[1], count = j->output[1];
    const real fill = (real)j->fill;
    for (ptrdiff_t i = 0; i < count; i++) {
        if (nearest) {
            const ptrdiff_t r = cell_of((ptrdiff_t)round(at[i].row), H, j->mode);
            const ptrdiff_t c = cell_of((ptrdiff_t)round(at[i].column), W, j->mode);
            const int inside = r >= 0 && c >= 0;
            for (ptrdiff_t q = 0; q < C; q++)
                put(bytes, y, i * C + q, inside ? value_at(bytes, x, (r * W + c) * C + q) : fill);
            continue;
        }
        const ptrdiff_t row = floor_of(at[i].row), column = floor_of(at[i].column);
        const real down = (real)(at[i].row - (double)row), right = (real)(at[i].column - (double)column);
        if (row >= 0 && row + 1 < H && column >= 0 && column + 1 < W) {
            const ptrdiff_t a = (row * W + column) * C, b = a + W * C;
            for (ptrdiff_t q = 0; q < C; q++) {
                const real a0 = value_at(bytes, x, a + q), b0 = value_at(bytes, x, b + q);
                const real top = a0 + (value_at(bytes, x, a + C + q) - a0) * right;
                const real bottom = b0 + (value_at(bytes, x, b + C + q) - b0) * right;
                put(bytes, y, i * C + q, top + (bottom - top) * down);
            }
            continue;
        }
        const ptrdiff_t r0 = cell_of(row, H, j->mode), r1 = cell_of(row + 1, H, j->mode);
        const ptrdiff_t c0 = cell_of(column, W, j->mode), c1 = cell_of(column + 1, W, j->mode);
        for (ptrdiff_t q = 0; q < C; q++) {
            const real a0 = r0 < 0 || c0 < 0 ? fill : value_at(bytes, x, (r0 * W + c0) * C + q);
            const real a1 = r0 < 0 || c1 < 0 ? fill : value_at(bytes, x, (r0 * W + c1) * C + q);
            const real b0 = r1 < 0 || c0 < 0 ? fill : value_at(bytes, x, (r1 * W + c0) * C + q);
            const real b1 = r1 < 0 || c1 < 0 ? fill : value_at(bytes, x, (r1 * W + c1) * C + q);
            /* A weight of 0 counts nothing, so that a pixel at the end is exact whatever lies past it. */
            const real top = right == 0 ? a0 : a0 + (a1 - a0) * right;
            const real bottom = right == 0 ? b0 : b0 + (b1 - b0) * right;
            put(bytes, y, i * C + q, down == 0 ? top : top + (bottom - top) * down);
        }
    }
}

FC_INLINE void reversed(const uint8_t *x, uint8_t *y, ptrdiff_t count, const ptrdiff_t pixel)
{
    for (ptrdiff_t i = 0; i < count; i++) memcpy(y + i * pixel, x - i * pixel, pixel);
}

FC_INLINE void reversed_bytes(const uint8_t *x, uint8_t *y, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t eight;
        memcpy(&eight, x - i - 7, 8);
        eight = __builtin_bswap64(eight);
        memcpy(y + i, &eight, 8);
    }
    for (; i < count; i++) y[i] = *(x - i);
}

/* Copies row o of a map of whole steps, where that stays inside the image; whether it does. */
FC_INLINE int copied(const fc_warp *j, ptrdiff_t n, ptrdiff_t o, const uint8_t *x, uint8_t *y, ptrdiff_t pixel)
{
    const ptrdiff_t count = j->output[1], W = j->input[1];
    const double *m = j->maps + 8 * n;
    const double at_row = tame(m[4] * (double)o + m[5]), at_first = tame(m[2]);
    const double at_last = tame(m[0] * (double)(count - 1) + m[2]);
    const ptrdiff_t row = floor_of(at_row), first = floor_of(at_first), last = floor_of(at_last), step = last - first;
    if (row < 0 || row >= j->input[0] || (double)row != at_row || (double)first != at_first || first < 0 || first >= W
        || last < 0 || last >= W || (double)last != at_last)
        return 0;
    x += (row * W + first) * pixel;
    if (step == count - 1)
        memcpy(y, x, count * pixel);
    else if (step != 1 - count)
        return 0;
    else if (pixel == 1)
        reversed_bytes(x, y, count);
    else if (pixel == 3)
        reversed(x, y, count, 3);
    else if (pixel == 12)
        reversed(x, y, count, 12);
    else if (pixel == 4)
        reversed(x, y, count, 4);
    else
        reversed(x, y, count, pixel);
    return 1;
}

FC_INLINE void sample_row(const int bytes, const fc_warp *j, const place *at, const void *x, void *y)
{
    const ptrdiff_t C = j->channels;
    if (j->nearest)
        sample(bytes, 1, j, at, x, y, C);
    else if (C == 3)
        sample(bytes, 0, j, at, x, y, 3);
    else
        sample(bytes, 0, j, at, x, y, C);
}

FC_INLINE int whole_steps(const fc_warp *j, ptrdiff_t n)
{
    if (!j->maps) return 0;
    const double *m = j->maps + 8 * n;
    return m[1] == 0 && m[3] == 0 && m[6] == 0 && m[7] == 0 && fabs(m[0]) == 1;
}

/* A row's places; of both tiles. */
ptrdiff_t FC_NAME(warp_size)(const void *job)
{
    const fc_warp *j = job;
    return FC_PRODUCT(j->output[1], sizeof(place));
}

void FC_NAME(warp_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_warp *j = job;
    const ptrdiff_t parts = blocks(j->output[0], j->block), n = tile / parts, start = tile % parts * j->block;
    const ptrdiff_t stop = min_(start + j->block, j->output[0]), C = j->channels;
    const ptrdiff_t pixel = C * (j->bytes ? 1 : (ptrdiff_t)sizeof(real));
    const uint8_t *x = (const uint8_t *)j->x + n * j->input[0] * j->input[1] * pixel;
    const int whole = whole_steps(j, n);
    for (ptrdiff_t row = start; row < stop; row++) {
        uint8_t *y = (uint8_t *)j->y + (n * j->output[0] + row) * j->output[1] * pixel;
        if (whole && copied(j, n, row, x, y, pixel)) continue;
        places_of(j, n, row, scratch);
        if (FC_DOUBLE || !j->bytes)
            sample_row(0, j, scratch, x, y);
        else
            sample_row(1, j, scratch, x, y);
    }
}

/* y = dx of one sample, from x = dy: each pixel's gradient to the cells that it read. */
void FC_NAME(warp_backward)(const void *job, ptrdiff_t n, void *scratch)
{
    const fc_warp *j = job;
    const ptrdiff_t H = j->input[0], W = j->input[1], C = j->channels, count = j->output[1];
    const place *at = scratch;
    const real *dy = (const real *)j->x + n * j->output[0] * count * C;
    real *dx = (real *)j->y + n * H * W * C;
    memset(dx, 0, H * W * C * sizeof(real));
    for (ptrdiff_t o = 0; o < j->output[0]; o++) {
        places_of(j, n, o, scratch);
        for (ptrdiff_t i = 0; i < count; i++, dy += C) {
            const double y = j->nearest ? round(at[i].row) : at[i].row,
                         x = j->nearest ? round(at[i].column) : at[i].column;
            const ptrdiff_t row = floor_of(y), column = floor_of(x);
            const real down = (real)(y - (double)row), right = (real)(x - (double)column);
            for (int corner = 0; corner < 4; corner++) {
                const ptrdiff_t r = cell_of(row + corner / 2, H, j->mode), c = cell_of(column + corner % 2, W, j->mode);
                const real weight = (corner / 2 ? down : 1 - down) * (corner % 2 ? right : 1 - right);
                if (r < 0 || c < 0 || weight == 0) continue;
                real *to = dx + (r * W + c) * C;
                for (ptrdiff_t q = 0; q < C; q++) to[q] += dy[q] * weight;
            }
        }
    }
}
