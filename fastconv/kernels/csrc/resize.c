/* resize.c: linear interpolation along two spatial axes, channels last, and its gradient.
 *
 * Half-pixel centres: output o of n reads the place (o + 1/2) * N / n - 1/2 among N cells; places past the ends are the
 * ends. Places are fractions of integers, so that both passes weigh a cell alike. Both take the rows first, whose weight
 * is one number, then the columns. No antialiasing: a smaller result skips cells.
 */
#include "vector.h"

/* A place between `cell` and the next one, `part` / `whole` of the way. The cell may be -1, or the last. */
typedef struct {
    ptrdiff_t cell, part, whole, input;
} spot;

FC_INLINE spot spot_of(ptrdiff_t o, ptrdiff_t input, ptrdiff_t output)
{
    const ptrdiff_t whole = 2 * output, at = (2 * o + 1) * input - output, cell = at < 0 ? -1 : at / whole;
    return (spot){cell, at - cell * whole, whole, input};
}
/* The next output's. */
FC_INLINE void move_on(spot *s)
{
    for (s->part += 2 * s->input; s->part >= s->whole; s->part -= s->whole) s->cell++;
}
FC_INLINE ptrdiff_t low(spot s) { return max_(s.cell, 0); }
FC_INLINE ptrdiff_t high(spot s) { return min_(s.cell + 1, s.input - 1); }
FC_INLINE real weight(spot s) { return low(s) == high(s) ? 0 : (real)s.part / (real)s.whole; } /* of the high cell */

/* y = a + (b - a) * share. */
FC_INLINE void mix(const real *a, const real *b, real share, real *restrict y, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) store(y + i, load(a + i) + (load(b + i) - load(a + i)) * share);
    for (; i < count; i++) y[i] = a[i] + (b[i] - a[i]) * share;
}

/* y += x * share. */
FC_INLINE void add_share(const real *restrict x, real share, real *restrict y, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) store(y + i, load(y + i) + load(x + i) * share);
    for (; i < count; i++) y[i] += x[i] * share;
}

/* The sample, the row and the first and past-the-last column that a tile writes. */
typedef struct {
    ptrdiff_t n, row, first, last;
} part;

FC_INLINE part part_of(ptrdiff_t tile, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t block)
{
    const ptrdiff_t parts = blocks(columns, block), first = tile % parts * block;
    return (part){tile / parts / rows, tile / parts % rows, first, min_(first + block, columns)};
}

void FC_NAME(resize_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_resize *j = job;
    const ptrdiff_t C = j->channels, row = j->input[1] * C;
    const part t = part_of(tile, j->output[0], j->output[1], j->columns);
    const spot h = spot_of(t.row, j->input[0], j->output[0]);
    spot w = spot_of(t.first, j->input[1], j->output[1]);
    const ptrdiff_t first = low(w), last = high(spot_of(t.last - 1, j->input[1], j->output[1])) + 1;
    const real *x = (const real *)j->x + t.n * j->input[0] * row, *mixed = x + low(h) * row + first * C;
    if (weight(h) != 0) {
        mix(mixed, x + high(h) * row + first * C, weight(h), scratch, (last - first) * C);
        mixed = scratch;
    }
    real *y = (real *)j->y + ((t.n * j->output[0] + t.row) * j->output[1] + t.first) * C;
    for (ptrdiff_t o = t.first; o < t.last; o++, y += C, move_on(&w))
        mix(mixed + (low(w) - first) * C, mixed + (high(w) - first) * C, weight(w), y, C);
}

/* The outputs that read cell i: those at places above i - 1 and below i + 1, and at the ends all the others. */
typedef struct {
    ptrdiff_t first, last;
} readers;

FC_INLINE readers readers_of(ptrdiff_t i, ptrdiff_t input, ptrdiff_t output)
{
    const ptrdiff_t above = (2 * i - 1) * output - input, below = (2 * i + 3) * output - input;
    return (readers){i == 0 || above < 0 ? 0 : above / (2 * input) + 1,
                     i == input - 1 ? output : min_(blocks(max_(below, 0), 2 * input), output)};
}

void FC_NAME(resize_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_resize *j = job;
    const ptrdiff_t C = j->channels, row = j->output[1] * C;
    const part t = part_of(tile, j->input[0], j->input[1], j->columns);
    const readers rows = readers_of(t.row, j->input[0], j->output[0]);
    const ptrdiff_t first = readers_of(t.first, j->input[1], j->output[1]).first;
    const ptrdiff_t last = readers_of(t.last - 1, j->input[1], j->output[1]).last;
    const real *dy = (const real *)j->x + t.n * j->output[0] * row + first * C;
    real *dx = (real *)j->y + ((t.n * j->input[0] + t.row) * j->input[1] + t.first) * C, *mixed = scratch;
    memset(dx, 0, (t.last - t.first) * C * sizeof(real));
    if (first >= last || rows.first >= rows.last) return;
    memset(mixed, 0, (last - first) * C * sizeof(real));
    for (ptrdiff_t o = rows.first; o < rows.last; o++) {
        const spot h = spot_of(o, j->input[0], j->output[0]);
        const real share = low(h) == t.row ? 1 - weight(h) : weight(h);
        add_share(dy + o * row, share, mixed, (last - first) * C);
    }
    spot w = spot_of(first, j->input[1], j->output[1]);
    for (ptrdiff_t o = first; o < last; o++, mixed += C, move_on(&w)) {
        if (low(w) >= t.first && low(w) < t.last) add_share(mixed, 1 - weight(w), dx + (low(w) - t.first) * C, C);
        if (high(w) != low(w) && high(w) >= t.first && high(w) < t.last)
            add_share(mixed, weight(w), dx + (high(w) - t.first) * C, C);
    }
}
