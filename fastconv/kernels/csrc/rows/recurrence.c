/* recurrence.c: recurrent layers (SimpleRNN, LSTM, GRU): all steps of some rows of a batch, and back through them.
 *
 * Rows know nothing of one another, so a tile takes its own through time without waiting, and the recurrent kernel stays
 * in its cache. Not here: the product of the inputs and their kernel, and the kernels' gradients, which are products over
 * all steps at once (dense.c). Contract: tiles.h; a row that a mask leaves out keeps its states, whatever is in its input.
 *
 * Scratch is planes: rows of `units` values, filled up with zeros to `width`, whole vectors. What is computed in the rest
 * of a row is never read by another lane.
 */
#include "sizes.h"
#include "vector.h"

enum { PLANES = 16 };

typedef struct {
    const fc_recurrence *job;
    ptrdiff_t first, rows, units, width, size; /* size: elements of a plane */
    ptrdiff_t ahead;                           /* from a step to the next that is taken, in time */
    real *plane[PLANES];
} block;

/* Rows in powers of two would crowd one set of the cache. */
static ptrdiff_t width_of(const fc_recurrence *j)
{
    const ptrdiff_t width = blocks(j->units, LANES) * LANES;
    return width * sizeof(real) % 2048 ? width : width + LANES;
}

static ptrdiff_t scratch_of(const void *job)
{
    const fc_recurrence *j = job;
    return FC_PRODUCT(PLANES, j->rows, width_of(j), sizeof(real));
}
ptrdiff_t FC_NAME(recurrence_forward_size)(const void *job) { return scratch_of(job); }
ptrdiff_t FC_NAME(recurrence_backward_size)(const void *job) { return scratch_of(job); }

static block block_of(const fc_recurrence *j, ptrdiff_t index, real *scratch, int turned)
{
    block k = {.job = j, .first = index * j->rows, .units = j->units, .width = width_of(j)};
    k.ahead = j->backwards != turned ? -1 : 1;
    k.rows = min_(j->rows, j->batch - k.first);
    k.size = k.rows * k.width;
    for (int i = 0; i < PLANES; i++) k.plane[i] = scratch + i * k.size;
    return k;
}

/* `count` planes one after another, to and from an array (batch, steps, count, units) at step t; its rows are that of a
 * vector (count, units) where `steps` is 0. */
static void lay(const block *k, const void *from, ptrdiff_t steps, ptrdiff_t t, ptrdiff_t count, real *to)
{
    for (ptrdiff_t p = 0; p < count; p++)
        for (ptrdiff_t r = 0; r < k->rows; r++, to += k->width) {
            const real *x = (const real *)from + (((k->first + r) * steps + t) * count + p) * k->units;
            if (!steps) x = (const real *)from + p * k->units;
            for (ptrdiff_t i = 0; i < k->units; i += LANES) {
                __builtin_prefetch(x + k->ahead * count * k->units + i, 0, 2);
                store(to + i, load_part(x + i, min_(k->units - i, LANES)));
            }
        }
}

static void put(const block *k, const real *from, ptrdiff_t steps, ptrdiff_t t, ptrdiff_t count, void *to)
{
    for (ptrdiff_t p = 0; to && p < count; p++)
        for (ptrdiff_t r = 0; r < k->rows; r++, from += k->width) {
            real *y = (real *)to + (((k->first + r) * steps + t) * count + p) * k->units;
            for (ptrdiff_t i = 0; i < k->units; i += LANES) {
                __builtin_prefetch(y + k->ahead * count * k->units + i, 1, 2);
                store_part(y + i, load(from + i), min_(k->units - i, LANES));
            }
        }
}

static void clear(real *to, ptrdiff_t count) { memset(to, 0, count * sizeof(real)); }

/* The products of planes of a, a_step apart, with the packed matrices of as many gates, added to planes of `out`. */
static void multiply(const block *k, const real *a, ptrdiff_t a_step, const void *packed, ptrdiff_t gate, ptrdiff_t gates,
                     real *out, ptrdiff_t out_step)
{
    const ptrdiff_t lanes = blocks(k->units, LANES) * LANES, pieces = blocks(k->rows, BLOCK);
    for (ptrdiff_t g = 0; g < gates; g++)
        for (ptrdiff_t n = 0; n < lanes; n += PANEL) {
            const ptrdiff_t vectors = min_((lanes - n) / LANES, VECTORS), panel = vectors * LANES;
            const real *b = (const real *)packed + ((gate + g) * lanes + n) * k->units, *next = b + panel * k->units;
            const fc_factors f = {k->units, k->width, panel, panel, {next, next + panel - LANES}, 1};
            for (ptrdiff_t i = 0, row = 0, rows; i < pieces; i++, row += rows) {
                rows = (k->rows - row) / (pieces - i);
                FC_NAME(product_block)(&f, rows, vectors, a + g * a_step + row * k->width, b,
                                       out + g * out_step + row * k->width + n, k->width);
            }
        }
}

/* ---- masks ---- */

static int left_out(const block *k, ptrdiff_t r, ptrdiff_t t)
{
    return k->job->mask && ((const real *)k->job->mask)[(k->first + r) * k->job->steps + t] == 0;
}

/* The rows that step t leaves out: of `old`, or zeros. */
static void keep(const block *k, ptrdiff_t t, const real *old, real *plane)
{
    for (ptrdiff_t r = 0; r < k->rows; r++)
        if (left_out(k, r, t)) {
            if (old)
                memcpy(plane + r * k->width, old + r * k->width, k->width * sizeof(real));
            else
                clear(plane + r * k->width, k->width);
        }
}

/* h as the output of step number s, which reads input t; a step that is left out repeats the output before it. */
static void put_output(const block *k, const real *h, ptrdiff_t s, ptrdiff_t t)
{
    const fc_recurrence *j = k->job;
    for (ptrdiff_t r = 0; r < k->rows; r++) {
        real *y = (real *)j->y + (j->sequences ? (k->first + r) * j->steps + s : k->first + r) * k->units;
        if (!left_out(k, r, t))
            for (ptrdiff_t i = 0; i < k->units; i += LANES)
                store_part(y + i, load(h + r * k->width + i), min_(k->units - i, LANES));
        else if (j->zero_masked || s == 0)
            clear(y, k->units);
        else if (j->sequences)
            memcpy(y, y - k->units, k->units * sizeof(real));
    }
}

/* ---- forward ---- */

#define EACH for (ptrdiff_t i = 0; i < size; i += LANES)
#define AT(plane) load((plane) + i)

void FC_NAME(recurrence_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_recurrence *j = job;
    const block k = block_of(j, index, scratch, 0);
    const ptrdiff_t size = k.size, kind = j->kind;
    real *h = k.plane[0], *c = k.plane[1], *old = k.plane[2], *x = k.plane[4], *z = k.plane[8];
    const int activation = j->activation, recurrent = j->recurrent;

    clear(scratch, PLANES * size);
    lay(&k, j->start[0], 1, 0, 1, h);
    if (j->start[1]) lay(&k, j->start[1], 1, 0, 1, c);
    for (ptrdiff_t s = 0; s < j->steps; s++) {
        const ptrdiff_t t = j->backwards ? j->steps - 1 - s : s;
        put(&k, h, j->steps, t, 1, j->before);
        if (j->mask) memcpy(old, h, 2 * size * sizeof(real));
        lay(&k, j->x, j->steps, t, j->gates, x);
        if (kind == FC_GRU) {
            if (j->bias)
                lay(&k, j->bias, 0, 0, 3, z);
            else
                clear(z, 3 * size);
            multiply(&k, h, 0, j->packed, 0, 3, z, size);
            for (ptrdiff_t i = 0; i < 2 * size; i += LANES) store(x + i, AT(x) + AT(z));
            memcpy(x + 3 * size, z + 2 * size, size * sizeof(real)); /* saved with the gates */
        } else
            multiply(&k, h, 0, j->packed, 0, kind == FC_GRU_BEFORE ? 2 : j->gates, x, size);
        switch (kind) {
        case FC_SIMPLE:
            FC_NAME(map_vectors)(activation, NULL, x, h, size);
            memcpy(x, h, size * sizeof(real));
            break;
        case FC_LSTM:
            FC_NAME(map_vectors)(recurrent, NULL, x, x, 2 * size);
            FC_NAME(map_vectors)(activation, NULL, x + 2 * size, x + 2 * size, size);
            FC_NAME(map_vectors)(recurrent, NULL, x + 3 * size, x + 3 * size, size);
            EACH store(c + i, AT(x + size) * AT(c) + AT(x) * AT(x + 2 * size));
            FC_NAME(map_vectors)(activation, NULL, c, h, size);
            EACH store(h + i, AT(h) * AT(x + 3 * size));
            break;
        default:
            FC_NAME(map_vectors)(recurrent, NULL, x, x, 2 * size);
            if (kind == FC_GRU)
                EACH store(x + 2 * size + i, AT(x + 2 * size) + AT(x + size) * AT(x + 3 * size));
            else {
                EACH store(c + i, AT(x + size) * AT(h));
                multiply(&k, c, 0, j->packed, 2, 1, x + 2 * size, 0);
            }
            FC_NAME(map_vectors)(activation, NULL, x + 2 * size, x + 2 * size, size);
            EACH store(h + i, AT(x + 2 * size) + AT(x) * (AT(h) - AT(x + 2 * size)));
        }
        if (j->mask) keep(&k, t, old, h), keep(&k, t, old + size, c);
        put(&k, x, j->steps, t, j->kept, j->saved);
        put(&k, c, j->steps, t, 1, j->cells);
        if (j->sequences || j->mask || s == j->steps - 1) put_output(&k, h, s, t);
    }
    put(&k, h, 1, 0, 1, j->last[0]);
    put(&k, c, 1, 0, 1, j->last[1]);
}

/* ---- backward ---- */

void FC_NAME(recurrence_backward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_recurrence *j = job;
    const block k = block_of(j, index, scratch, 1);
    const ptrdiff_t size = k.size, kind = j->kind;
    /* The gradients of the states, of outputs that repeat an earlier one, and of a step's h; the state before; the gates,
     * and their gradients. */
    real *dh = k.plane[0], *dc = k.plane[1], *pending = k.plane[2], *w = k.plane[3], *q = k.plane[4], *a = k.plane[5];
    real *new_h = k.plane[6], *new_c = k.plane[7], *z = k.plane[8], *d = k.plane[12];
    const int activation = j->activation, recurrent = j->recurrent;

    clear(scratch, PLANES * size);
    if (j->dlast[0]) lay(&k, j->dlast[0], 1, 0, 1, dh);
    if (j->dlast[1]) lay(&k, j->dlast[1], 1, 0, 1, dc);
    for (ptrdiff_t s = j->steps - 1; s >= 0; s--) {
        const ptrdiff_t t = j->backwards ? j->steps - 1 - s : s, t_before = j->backwards ? t + 1 : t - 1;
        if (j->sequences || s == j->steps - 1) {
            lay(&k, j->dy, j->sequences ? j->steps : 1, j->sequences ? s : 0, 1, w);
            EACH store(pending + i, AT(pending) + AT(w));
        }
        EACH store(w + i, AT(dh) + AT(pending));
        lay(&k, j->saved, j->steps, t, j->kept, z);
        if (kind == FC_LSTM) {
            lay(&k, j->cells, j->steps, t, 1, a);
            if (s == 0)
                lay(&k, j->start[1], 1, 0, 1, q);
            else
                lay(&k, j->cells, j->steps, t_before, 1, q);
            FC_NAME(map_vectors)(activation, NULL, a, a, size);
            EACH {
                store(d + 3 * size + i, AT(w) * AT(a));
                store(w + i, AT(w) * AT(z + 3 * size));
            }
            FC_NAME(map_vectors)(activation, w, a, w, size);
            EACH {
                const vec sum = AT(dc) + AT(w);
                store(d + i, sum * AT(z + 2 * size));
                store(d + size + i, sum * AT(q));
                store(d + 2 * size + i, sum * AT(z));
                store(new_c + i, sum * AT(z + size));
            }
            FC_NAME(map_vectors)(recurrent, d, z, d, 2 * size);
            FC_NAME(map_vectors)(activation, d + 2 * size, z + 2 * size, d + 2 * size, size);
            FC_NAME(map_vectors)(recurrent, d + 3 * size, z + 3 * size, d + 3 * size, size);
            clear(new_h, size);
        } else if (kind == FC_SIMPLE) {
            FC_NAME(map_vectors)(activation, w, z, d, size);
            clear(new_h, size);
        } else {
            lay(&k, j->before, j->steps, t, 1, q);
            EACH {
                store(d + i, AT(w) * (AT(q) - AT(z + 2 * size)));
                store(d + 2 * size + i, AT(w) * (1 - AT(z)));
                store(new_h + i, AT(w) * AT(z));
            }
            FC_NAME(map_vectors)(activation, d + 2 * size, z + 2 * size, d + 2 * size, size);
            if (kind == FC_GRU)
                EACH {
                    store(d + size + i, AT(d + 2 * size) * AT(z + 3 * size));
                    store(d + 3 * size + i, AT(d + 2 * size) * AT(z + size));
                }
            else {
                clear(a, size);
                multiply(&k, d + 2 * size, 0, j->packed, 2, 1, a, 0);
                EACH {
                    store(d + size + i, AT(a) * AT(q));
                    store(new_h + i, AT(new_h) + AT(a) * AT(z + size));
                }
            }
            FC_NAME(map_vectors)(recurrent, d, z, d, 2 * size);
        }
        if (j->mask)
            for (int g = 0; g < 4; g++) keep(&k, t, NULL, d + g * size);
        put(&k, d, j->steps, t, j->gates, j->dx);
        if (kind == FC_GRU) {
            memcpy(d + 2 * size, d + 3 * size, size * sizeof(real));
            put(&k, d, j->steps, t, 3, j->dproduct);
        }
        multiply(&k, d, size, j->packed, 0, kind == FC_GRU_BEFORE ? 2 : j->gates, new_h, 0);
        if (j->mask) {
            keep(&k, t, dh, new_h), keep(&k, t, dc, new_c);
            clear(a, size); /* what is pending stays so where it is not a zero that was repeated */
            if (!j->zero_masked) keep(&k, t, pending, a);
            memcpy(pending, a, size * sizeof(real));
        } else
            clear(pending, size);
        memcpy(dh, new_h, size * sizeof(real));
        memcpy(dc, new_c, size * sizeof(real));
    }
    put(&k, dh, 1, 0, 1, j->dstart[0]);
    put(&k, dc, 1, 0, 1, j->dstart[1]);
}
