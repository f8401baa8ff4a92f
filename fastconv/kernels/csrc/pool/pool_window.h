/* pool_window.h: the maximum of one window whose cells are in cache, with ReLU, for convolutions that pool what they
 * compute. Ties take the first tap, NaN wins and the first NaN stays: as pool_max.h.
 */
#ifndef FC_POOL_WINDOW_H
#define FC_POOL_WINDOW_H

#include "bytes.h"

/* `from` is the window's first cell and `step` between its cells on each axis. Returns the winning taps, and leaves the
 * maxima in `top`. */
FC_INLINE ivec pool_lanes(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, const real *from,
                          const ptrdiff_t step[3], int relu, vec *top)
{
    vec best = load(from);
    ivec won = {0};
    lane tap = 0;
    for (ptrdiff_t d = 0; d < d1; d++)
        for (ptrdiff_t h = 0; h < h1; h++)
            for (ptrdiff_t w = 0; w < w1; w++, tap++) {
                if (tap == 0) continue;
                const vec v = load(from + d * step[0] + h * step[1] + w * step[2]);
                keep_greater(v, (ivec){0} + tap, &best, &won);
            }
    if (relu) { /* a NaN stays, but has no gradient either */
        won = choose(best > 0, won, (ivec){0} + FC_CUT);
        best = select(best <= 0, (vec){0}, best);
    }
    *top = best;
    return won;
}

/* The windows of `columns` columns whose first cell is `from`, side by side; y and index have `y_pixel` between
 * columns. `filters` are written, whole vectors of them read. */
FC_INLINE void pool_columns(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, ptrdiff_t columns,
                            ptrdiff_t filters, const real *from, const ptrdiff_t step[3], int relu, ptrdiff_t y_pixel,
                            real *y, uint8_t *index)
{
    for (ptrdiff_t c = 0; c < columns; c++, from += w1 * step[2], y += y_pixel, index += y_pixel) {
        ptrdiff_t k = 0;
        for (; k + WIDE * LANES <= filters; k += WIDE * LANES) {
            vec best[WIDE];
            ivec won[WIDE];
    FC_UNROLL(4)
            for (int v = 0; v < WIDE; v++) {
                won[v] = pool_lanes(d1, h1, w1, from + k + v * LANES, step, relu, &best[v]);
                store(y + k + v * LANES, best[v]);
            }
            if (pack_bytes(index + k, won)) continue;
            for (int v = 0; v < WIDE; v++) store_bytes(index + k + v * LANES, won[v], LANES);
        }
        for (; k < filters; k += LANES) {
            vec best;
            const ptrdiff_t lanes = min_(filters - k, LANES);
            const ivec won = pool_lanes(d1, h1, w1, from + k, step, relu, &best);
            store_part(y + k, best, lanes);
            store_bytes(index + k, won, lanes);
        }
    }
}

/* pool_columns with the commonest windows unrolled. */
FC_INLINE void pool_any(const ptrdiff_t pool[3], ptrdiff_t columns, ptrdiff_t filters, const real *from,
                        const ptrdiff_t step[3], int relu, ptrdiff_t y_pixel, real *y, uint8_t *index)
{
    if (pool[0] == 1 && pool[1] == 2 && pool[2] == 2)
        pool_columns(1, 2, 2, columns, filters, from, step, relu, y_pixel, y, index);
    else if (pool[0] == 1 && pool[1] == 1 && pool[2] == 2)
        pool_columns(1, 1, 2, columns, filters, from, step, relu, y_pixel, y, index);
    else if (pool[0] == 2 && pool[1] == 2 && pool[2] == 2)
        pool_columns(2, 2, 2, columns, filters, from, step, relu, y_pixel, y, index);
    else
        pool_columns(pool[0], pool[1], pool[2], columns, filters, from, step, relu, y_pixel, y, index);
}

#endif
