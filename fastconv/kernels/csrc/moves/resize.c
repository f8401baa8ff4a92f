/* resize.c: linear interpolation along two spatial axes, channels last, and its gradient.
 *
 * Half-pixel centres: output o of n reads the place (o + 1/2) * N / n - 1/2 among N cells; places past the ends are the
 * ends. Places are fractions of integers, so that both passes weigh a cell alike. Both take the rows first, whose weight
 * is one number, then the columns. No antialiasing: a smaller result skips cells.
 */
#include "sizes.h"
#include "vector.h"

/* A place between `cell` and the next one, `part` / (2 * new) of the way; old : new is the scale in lowest terms. The cell
 * may be -1, or the last. */
typedef struct {
    ptrdiff_t cell, part, old, new, cells;
    real share; /* of one part */
} spot;

FC_INLINE spot spot_of(const fc_resize *j, int axis, ptrdiff_t o)
{
    const ptrdiff_t old = j->scale[axis][0], new = j->scale[axis][1];
    const ptrdiff_t at = (2 * o + 1) * old - new, cell = at < 0 ? -1 : at / (2 * new);
    return (spot){cell, at - cell * 2 * new, old, new, j->input[axis], 1 / (real)(2 * new)};
}
/* The next output's. */
FC_INLINE void move_on(spot *s)
{
    for (s->part += 2 * s->old; s->part >= 2 * s->new; s->part -= 2 * s->new) s->cell++;
}
FC_INLINE ptrdiff_t low(spot s) { return max_(s.cell, 0); }
FC_INLINE ptrdiff_t high(spot s) { return min_(s.cell + 1, s.cells - 1); }
FC_INLINE real weight(spot s) { return low(s) == high(s) ? 0 : (real)s.part * s.share; } /* of the high cell */

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

/* Outputs from t.first on, of a row that starts at cell `first`. */
FC_INLINE void mix_columns(const real *mixed, spot w, ptrdiff_t first, part t, real *y, ptrdiff_t C)
{
    for (ptrdiff_t o = t.first; o < t.last; o++, y += C, move_on(&w))
        mix(mixed + (low(w) - first) * C, mixed + (high(w) - first) * C, weight(w), y, C);
}

/* Bytes of the cells of a row, one of `cells`, that a tile's columns reach, of a row of `columns`. */
FC_INLINE ptrdiff_t reach(const fc_resize *j, ptrdiff_t cells, ptrdiff_t columns)
{
    return FC_PRODUCT((j->columns + 1) * (cells / columns + 1) + 4, j->channels, sizeof(real));
}

ptrdiff_t FC_NAME(resize_forward_size)(const void *job)
{
    const fc_resize *j = job;
    return reach(j, j->input[1], j->output[1]);
}

void FC_NAME(resize_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_resize *j = job;
    const ptrdiff_t C = j->channels, row = j->input[1] * C;
    const part t = part_of(tile, j->output[0], j->output[1], j->columns);
    const spot h = spot_of(j, 0, t.row);
    const spot w = spot_of(j, 1, t.first);
    const ptrdiff_t first = low(w), last = high(spot_of(j, 1, t.last - 1)) + 1;
    const real *x = (const real *)j->x + t.n * j->input[0] * row, *mixed = x + low(h) * row + first * C;
    if (weight(h) != 0) {
        mix(mixed, x + high(h) * row + first * C, weight(h), scratch, (last - first) * C);
        mixed = scratch;
    }
    real *y = (real *)j->y + ((t.n * j->output[0] + t.row) * j->output[1] + t.first) * C;
    if (C == 1)
        mix_columns(mixed, w, first, t, y, 1);
    else if (C == 3)
        mix_columns(mixed, w, first, t, y, 3);
    else
        mix_columns(mixed, w, first, t, y, C);
}

/* The outputs that read cell i: those at places above i - 1 and below i + 1, and at the ends all the others. */
typedef struct {
    ptrdiff_t first, last;
} readers;

FC_INLINE readers readers_of(const fc_resize *j, int axis, ptrdiff_t i)
{
    const ptrdiff_t old = j->scale[axis][0], new = j->scale[axis][1], output = j->output[axis];
    const ptrdiff_t above = (2 * i - 1) * new - old, below = (2 * i + 3) * new - old;
    return (readers){i == 0 || above < 0 ? 0 : above / (2 * old) + 1,
                     i == j->input[axis] - 1 ? output : min_(blocks(max_(below, 0), 2 * old), output)};
}

/* Adds outputs `first` to `last` - 1 of a row to the cells that they read. */
FC_INLINE void share_columns(const real *mixed, spot w, ptrdiff_t first, ptrdiff_t last, part t, real *dx, ptrdiff_t C)
{
    for (ptrdiff_t o = first; o < last; o++, mixed += C, move_on(&w)) {
        if (low(w) >= t.first && low(w) < t.last) add_share(mixed, 1 - weight(w), dx + (low(w) - t.first) * C, C);
        if (high(w) != low(w) && high(w) >= t.first && high(w) < t.last)
            add_share(mixed, weight(w), dx + (high(w) - t.first) * C, C);
    }
}

ptrdiff_t FC_NAME(resize_backward_size)(const void *job)
{
    const fc_resize *j = job;
    return reach(j, j->output[1], j->input[1]);
}

void FC_NAME(resize_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_resize *j = job;
    const ptrdiff_t C = j->channels, row = j->output[1] * C;
    const part t = part_of(tile, j->input[0], j->input[1], j->columns);
    const readers rows = readers_of(j, 0, t.row);
    const ptrdiff_t first = readers_of(j, 1, t.first).first;
    const ptrdiff_t last = readers_of(j, 1, t.last - 1).last;
    const real *dy = (const real *)j->x + t.n * j->output[0] * row + first * C;
    real *dx = (real *)j->y + ((t.n * j->input[0] + t.row) * j->input[1] + t.first) * C, *mixed = scratch;
    memset(dx, 0, (t.last - t.first) * C * sizeof(real));
    if (first >= last || rows.first >= rows.last) return;
    memset(mixed, 0, (last - first) * C * sizeof(real));
    for (ptrdiff_t o = rows.first; o < rows.last; o++) {
        const spot h = spot_of(j, 0, o);
        const real share = low(h) == t.row ? 1 - weight(h) : weight(h);
        add_share(dy + o * row, share, mixed, (last - first) * C);
    }
    const spot w = spot_of(j, 1, first);
    if (C == 1)
        share_columns(mixed, w, first, last, t, dx, 1);
    else if (C == 3)
        share_columns(mixed, w, first, last, t, dx, 3);
    else
        share_columns(mixed, w, first, last, t, dx, C);
}
