/* resample.c: every cell along one axis as a weighted sum of a few neighbours: resizing, blurring, and their gradients.
 *
 * Output p reads `taps` cells from start[p] on; its weights are its row of the table. Sums run in the order of cells.
 */
#include "vector.h"

/* One place: `inner` numbers at a time where there are many, else each by itself. */
FC_INLINE void place_of(const real *x, const real *weights, real *y, ptrdiff_t taps, const ptrdiff_t inner)
{
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= inner; i += 2 * LANES) {
        vec a = load(x + i) * weights[0], b = load(x + i + LANES) * weights[0];
        for (ptrdiff_t k = 1; k < taps; k++) {
            a += load(x + k * inner + i) * weights[k];
            b += load(x + k * inner + i + LANES) * weights[k];
        }
        store(y + i, a);
        store(y + i + LANES, b);
    }
    for (; i < inner; i++) {
        real sum = x[i] * weights[0];
        for (ptrdiff_t k = 1; k < taps; k++) sum += x[k * inner + i] * weights[k];
        y[i] = sum;
    }
}

FC_INLINE void places_of(const fc_resample *j, const real *x, real *y, ptrdiff_t first, ptrdiff_t last,
                         const ptrdiff_t inner)
{
    for (ptrdiff_t p = first; p < last; p++)
        place_of(x + j->start[p] * inner, (const real *)j->weights + p * j->taps, y + p * inner, j->taps, inner);
}

void FC_NAME(resample)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_resample *j = job;
    const ptrdiff_t parts = blocks(j->places, j->block), o = tile / parts, first = tile % parts * j->block;
    const ptrdiff_t last = min_(first + j->block, j->places), inner = j->inner;
    const real *x = (const real *)j->x + o * j->cells * inner;
    real *y = (real *)j->y + o * j->places * inner;
    if (inner == 3)
        places_of(j, x, y, first, last, 3);
    else
        places_of(j, x, y, first, last, inner);
}
