/* colors.c: the colours of images, a change a sample: tables and histograms of bytes, scales, matrices, hue and saturation.
 *
 * It moves no pixel. Results lie between two limits; bytes are rounded half up. Channels last.
 */
#include "sizes.h"
#include "vector.h"

FC_INLINE real value_at(const int bytes, const void *x, ptrdiff_t i)
{
    return bytes ? (real)((const uint8_t *)x)[i] : ((const real *)x)[i];
}
/* NaN stays in reals. */
FC_INLINE void put(const int bytes, void *y, ptrdiff_t i, real value, real low, real high)
{
    value = value < low ? low : value > high ? high : value;
    if (bytes)
        ((uint8_t *)y)[i] = (uint8_t)(int)(value + (real)0.5);
    else
        ((real *)y)[i] = value;
}

/* The sample and the first and past-the-last pixel of a tile. */
typedef struct {
    ptrdiff_t n, first, last;
} part;
FC_INLINE part part_of(const fc_colors *j, ptrdiff_t tile)
{
    const ptrdiff_t parts = blocks(j->pixels, j->block), first = tile % parts * j->block;
    return (part){tile / parts, first, min_(first + j->block, j->pixels)};
}

/* Bytes by a table for each channel of each sample. */
FC_INLINE void look_up(const uint8_t *x, uint8_t *y, ptrdiff_t count, const uint8_t *table, const ptrdiff_t C)
{
    for (ptrdiff_t i = 0; i < count; i++)
        for (ptrdiff_t q = 0; q < C; q++) y[i * C + q] = table[q * 256 + x[i * C + q]];
}
void FC_NAME(color_table)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_colors *j = job;
    const part t = part_of(j, tile);
    const ptrdiff_t C = j->channels, from = (t.n * j->pixels + t.first) * C;
    const uint8_t *table = (const uint8_t *)j->table + t.n * C * 256, *x = (const uint8_t *)j->x + from;
    if (C == 3)
        look_up(x, (uint8_t *)j->y + from, t.last - t.first, table, 3);
    else
        look_up(x, (uint8_t *)j->y + from, t.last - t.first, table, C);
}

/* How often each byte stands in each channel; a sample a tile, y (batch, channels, 256) of int64. */
void FC_NAME(color_histogram)(const void *job, ptrdiff_t n, void *scratch)
{
    (void)scratch;
    const fc_colors *j = job;
    const ptrdiff_t C = j->channels;
    const uint8_t *x = (const uint8_t *)j->x + n * j->pixels * C;
    int64_t *y = (int64_t *)j->y + n * C * 256;
    memset(y, 0, C * 256 * sizeof(int64_t));
    for (ptrdiff_t i = 0; i < j->pixels; i++)
        for (ptrdiff_t q = 0; q < C; q++) y[q * 256 + x[i * C + q]]++;
}

/* Factors and summands, a vector of each a channel. */
ptrdiff_t FC_NAME(color_scale_size)(const void *job)
{
    const fc_colors *j = job;
    return FC_PRODUCT(2, j->channels, LANES, sizeof(real));
}

/* y = x * scale + shift, reals, a pair for each channel of each sample. */
void FC_NAME(color_scale)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_colors *j = job;
    const part t = part_of(j, tile);
    const ptrdiff_t C = j->channels, from = (t.n * j->pixels + t.first) * C, count = (t.last - t.first) * C;
    const real *pair = (const real *)j->table + t.n * C * 2, *x = (const real *)j->x + from;
    const real low = (real)j->low, high = (real)j->high;
    real *y = (real *)j->y + from, *scale = scratch, *shift = scale + C * LANES;
    for (ptrdiff_t i = 0; i < C * LANES; i++) scale[i] = pair[i % C * 2], shift[i] = pair[i % C * 2 + 1];
    ptrdiff_t i = 0;
    for (; i + C * LANES <= count; i += C * LANES)
        for (ptrdiff_t q = 0; q < C * LANES; q += LANES) {
            const vec value = load(x + i + q) * load(scale + q) + load(shift + q);
            store(y + i + q, at_most(at_least(value, low), high));
        }
    for (ptrdiff_t q = 0; i + q < count; q++) put(0, y, i + q, x[i + q] * scale[q] + shift[q], low, high);
}

/* Three channels by a matrix of three rows of four a sample, the last column added. */
FC_INLINE void multiply(const int bytes, const fc_colors *j, part t)
{
    const ptrdiff_t from = t.n * j->pixels * 3;
    const real *m = (const real *)j->table + t.n * 12, low = (real)j->low, high = (real)j->high;
    for (ptrdiff_t i = from + t.first * 3; i < from + t.last * 3; i += 3) {
        const real r = value_at(bytes, j->x, i), g = value_at(bytes, j->x, i + 1), b = value_at(bytes, j->x, i + 2);
    FC_UNROLL(3)
        for (int q = 0; q < 3; q++)
            put(bytes, j->y, i + q, m[4 * q] * r + m[4 * q + 1] * g + m[4 * q + 2] * b + m[4 * q + 3], low, high);
    }
}
void FC_NAME(color_matrix)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_colors *j = job;
    if (FC_DOUBLE || !j->bytes)
        multiply(0, j, part_of(j, tile));
    else
        multiply(1, j, part_of(j, tile));
}

FC_INLINE vec most(vec a, vec b) { return select(a > b, a, b); }
FC_INLINE vec magnitude(vec a) { return select(a < 0, -a, a); }

/* LANES colours of one channel each, between 0 and 1: hue plus a share of the circle, from 0 to below 1, and saturation
 * times a factor. */
FC_INLINE void turn_colors(vec c[3], real share, real factor)
{
    const vec value = most(most(c[0], c[1]), c[2]), range = value + most(most(-c[0], -c[1]), -c[2]);
    const vec norm = select(range > 0, 1 / (6 * range), (vec){0});
    const vec green = norm * (c[2] - c[0]) + (real)(1. / 3), blue = norm * (c[0] - c[1]) + (real)(2. / 3);
    vec hue = select(value == c[0], norm * (c[1] - c[2]), select(value == c[1], green, blue)) + share;
    hue = select(hue < 0, hue + 1, select(hue >= 1, hue - 1, hue)) * 6;
    const vec saturation = at_most(at_least(select(value > 0, range / value * factor, (vec){0}), 0), 1);
    const vec rest = value * saturation, base = value - rest;
    const vec shares[3] = {magnitude(hue - 3) - 1, 2 - magnitude(hue - 2), 2 - magnitude(hue - 4)};
    FC_UNROLL(3)
    for (int q = 0; q < 3; q++) c[q] = base + rest * at_most(at_least(shares[q], 0), 1);
}

FC_INLINE void turn(const int bytes, const fc_colors *j, part t)
{
    const ptrdiff_t from = t.n * j->pixels * 3, last = from + t.last * 3;
    const real *pair = (const real *)j->table + t.n * 2, low = (real)j->low, high = (real)j->high;
    const real width = high - low, unit = 1 / width;
    real values[3][LANES] = {{0}};
    for (ptrdiff_t i = from + t.first * 3; i < last; i += 3 * LANES) {
        const int count = (int)min_(LANES, (last - i) / 3);
        vec c[3];
        for (int k = 0; k < count; k++)
            for (int q = 0; q < 3; q++) values[q][k] = value_at(bytes, j->x, i + 3 * k + q);
        for (int q = 0; q < 3; q++) c[q] = (load(values[q]) - low) * unit;
        turn_colors(c, pair[0], pair[1]);
        for (int q = 0; q < 3; q++) store(values[q], at_most(at_least(c[q] * width + low, low), high));
        for (int k = 0; k < count; k++)
            for (int q = 0; q < 3; q++) put(bytes, j->y, i + 3 * k + q, values[q][k], low, high);
    }
}
void FC_NAME(color_turn)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_colors *j = job;
    if (FC_DOUBLE || !j->bytes)
        turn(0, j, part_of(j, tile));
    else
        turn(1, j, part_of(j, tile));
}
