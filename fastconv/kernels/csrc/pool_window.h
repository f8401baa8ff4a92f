/* pool_window.h: the maximum of one window whose cells are in cache, with ReLU, for convolutions that pool what they
 * compute. Ties take the first tap, NaN wins and the first NaN stays: as pool_max.h.
 */
#ifndef FC_POOL_WINDOW_H
#define FC_POOL_WINDOW_H

#include "bytes.h"

/* `from` is the window's first cell and `step` between its cells on each axis; `lanes` are read (all of a vector, where
 * `whole`) and written. */
FC_INLINE void pool_lanes(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, const real *from,
                          const ptrdiff_t step[3], int relu, ptrdiff_t lanes, const int whole, real *y, uint8_t *index)
{
    const ptrdiff_t read = whole ? LANES : lanes;
    vec best = load_part(from, read);
    ivec won = {0};
    lane tap = 0;
    for (ptrdiff_t d = 0; d < d1; d++)
        for (ptrdiff_t h = 0; h < h1; h++)
            for (ptrdiff_t w = 0; w < w1; w++, tap++) {
                if (tap == 0) continue;
                const vec v = load_part(from + d * step[0] + h * step[1] + w * step[2], read);
                const ivec take = ~(v <= best) & (best == best); /* greater, or the first NaN */
                best = select(take, v, best);
                won = choose(take, (ivec){0} + tap, won);
            }
    if (relu) { /* a NaN stays, but has no gradient either */
        won = choose(best > 0, won, (ivec){0} + FC_CUT);
        best = select(best <= 0, (vec){0}, best);
    }
    store_part(y, best, lanes);
    store_bytes(index, won, lanes);
}
FC_INLINE void pool_window(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, const real *from,
                           const ptrdiff_t step[3], int relu, ptrdiff_t lanes, real *y, uint8_t *index)
{
    pool_lanes(d1, h1, w1, from, step, relu, lanes, 1, y, index);
}
/* The same where the cells past `lanes` may not be read. */
FC_INLINE void pool_window_part(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, const real *from,
                                const ptrdiff_t step[3], ptrdiff_t lanes, real *y, uint8_t *index)
{
    pool_lanes(d1, h1, w1, from, step, 0, lanes, 0, y, index);
}

/* The same, with the commonest windows unrolled. */
FC_INLINE void pool_any(const ptrdiff_t pool[3], const real *from, const ptrdiff_t step[3], int relu, ptrdiff_t lanes,
                        real *y, uint8_t *index)
{
    if (pool[0] == 1 && pool[1] == 2 && pool[2] == 2)
        pool_window(1, 2, 2, from, step, relu, lanes, y, index);
    else if (pool[0] == 1 && pool[1] == 1 && pool[2] == 2)
        pool_window(1, 1, 2, from, step, relu, lanes, y, index);
    else if (pool[0] == 2 && pool[1] == 2 && pool[2] == 2)
        pool_window(2, 2, 2, from, step, relu, lanes, y, index);
    else
        pool_window(pool[0], pool[1], pool[2], from, step, relu, lanes, y, index);
}

#endif
