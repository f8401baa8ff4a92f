/* recurrence.c: recurrent layers (SimpleRNN, LSTM, GRU): all steps of some rows of a batch, and back through them.
 *
 * Rows know nothing of one another, so a tile takes its own through time without waiting, and the recurrent kernel stays
 * in its cache. Not here: the product of the inputs and their kernel, and the kernels' gradients, which are products over
 * all steps at once (dense.c). Contract: tiles.h; a row that a mask leaves out keeps its states, whatever is in its input.
 *
 * Scratch is planes: a row of `units` values for each row of the tile, filled up to `width`, whole vectors. What becomes of
 * the rest of a row is never read for another lane.
 */
#include "sizes.h"
#include "vector.h"

enum { GATES = 4 };
/* Planes of forward: the states, the same before a step, the gates, and a GRU's products of h. */
enum { H, C, OLD, GATE = OLD + 2, PRODUCT = GATE + GATES };
/* Those of backward, besides the gates: gradients of the states, of outputs that repeat an earlier one, and of a step's h;
 * of the states before it; a state before it; room; gradients of the gates. */
enum { DH, DC, PENDING, DY, NEW_DH = PRODUCT, NEW_DC, BEFORE, ROOM, D, PLANES = D + GATES };
/* Gates: of an LSTM, and of a GRU, with the product of h that RESET acts on. */
enum { INPUT, FORGET, CELL, OUTPUT };
enum { UPDATE, RESET, NEW, RECURRENT };

typedef struct {
    const fc_recurrence *job;
    ptrdiff_t first, rows, units, width, size; /* size: elements of a plane */
    ptrdiff_t ahead;                           /* from a step to the next that is taken, in time */
    real *planes;
} block;

#define P(plane) (k->planes + (plane) * k->size)
#define EACH for (ptrdiff_t i = 0; i < k->size; i += LANES)
#define AT(plane) load(P(plane) + i)
#define SET(plane, value) store(P(plane) + i, value)

/* Rows in large powers of two would crowd one set of the cache. */
static ptrdiff_t width_of(const fc_recurrence *j)
{
    const ptrdiff_t width = blocks(j->units, LANES) * LANES;
    return width * sizeof(real) % 2048 ? width : width + LANES;
}

ptrdiff_t FC_NAME(recurrence_size)(const void *job)
{
    const fc_recurrence *j = job;
    return FC_PRODUCT(PLANES, j->rows, width_of(j), sizeof(real));
}

static void clear(const block *k, int plane, int count) { memset(P(plane), 0, count * k->size * sizeof(real)); }
static void copy(const block *k, int from, int to, int count)
{
    memcpy(P(to), P(from), count * k->size * sizeof(real));
}

static block block_of(const fc_recurrence *j, ptrdiff_t index, void *scratch, int turned)
{
    block k = {.job = j, .first = index * j->rows, .units = j->units, .width = width_of(j), .planes = scratch};
    k.ahead = j->backwards != turned ? -1 : 1;
    k.rows = min_(j->rows, j->batch - k.first);
    k.size = k.rows * k.width;
    clear(&k, 0, PLANES);
    return k;
}

/* `count` planes, to and from an array (batch, steps, count, units) at step t, if there is one. What comes next is asked
 * for. */
static void lay(const block *k, const void *from, ptrdiff_t steps, ptrdiff_t t, int count, int plane)
{
    real *to = P(plane);
    for (int p = 0; from && p < count; p++)
        for (ptrdiff_t r = 0; r < k->rows; r++, to += k->width) {
            const real *x = (const real *)from + (((k->first + r) * steps + t) * count + p) * k->units;
            for (ptrdiff_t i = 0; i < k->units; i += LANES) {
                __builtin_prefetch(x + k->ahead * count * k->units + i, 0, 2);
                store(to + i, load_part(x + i, min_(k->units - i, LANES)));
            }
        }
}

static void put(const block *k, int plane, ptrdiff_t steps, ptrdiff_t t, int count, void *to)
{
    const real *from = P(plane);
    for (int p = 0; to && p < count; p++)
        for (ptrdiff_t r = 0; r < k->rows; r++, from += k->width) {
            real *y = (real *)to + (((k->first + r) * steps + t) * count + p) * k->units;
            for (ptrdiff_t i = 0; i < k->units; i += LANES) {
                __builtin_prefetch(y + k->ahead * count * k->units + i, 1, 2);
                store_part(y + i, load(from + i), min_(k->units - i, LANES));
            }
        }
}

/* Planes to a function of themselves, or to the gradient by planes that are its values. */
static void map(const block *k, int function, int from, int to, int count)
{
    FC_NAME(map_vectors)(function, NULL, P(from), P(to), count * k->size);
}
static void map_back(const block *k, int function, int plane, int values, int count)
{
    FC_NAME(map_vectors)(function, P(plane), P(values), P(plane), count * k->size);
}

/* The products of planes of a, `a_step` apart, with the packed matrices of some gates, added to planes of `out`. */
static void multiply(const block *k, int a, int a_step, int gate, int gates, int out, int out_step)
{
    const ptrdiff_t lanes = blocks(k->units, LANES) * LANES, pieces = blocks(k->rows, BLOCK);
    for (int g = 0; g < gates; g++, a += a_step, out += out_step)
        for (ptrdiff_t n = 0; n < lanes; n += PANEL) {
            const ptrdiff_t vectors = min_((lanes - n) / LANES, VECTORS), panel = vectors * LANES;
            const real *b = (const real *)k->job->packed + ((gate + g) * lanes + n) * k->units,
                       *next = b + panel * k->units;
            const fc_factors f = {k->units, k->width, panel, panel, {next, next + panel - LANES}, 1};
            for (ptrdiff_t i = 0, row = 0, rows; i < pieces; i++, row += rows) {
                rows = (k->rows - row) / (pieces - i);
                FC_NAME(product_block)(&f, rows, vectors, P(a) + row * k->width, b, P(out) + row * k->width + n,
                                       k->width);
            }
        }
}

/* ---- masks ---- */

static int left_out(const block *k, ptrdiff_t r, ptrdiff_t t)
{
    return k->job->mask && ((const real *)k->job->mask)[(k->first + r) * k->job->steps + t] == 0;
}

/* The rows that step t leaves out: those of planes from `old` on, or zeros where that is negative. */
static void keep(const block *k, ptrdiff_t t, int old, int plane, int count)
{
    for (ptrdiff_t r = 0; r < k->rows; r++)
        for (int p = 0; left_out(k, r, t) && p < count; p++) {
            real *row = P(plane + p) + r * k->width;
            if (old < 0)
                memset(row, 0, k->width * sizeof(real));
            else
                memcpy(row, P(old + p) + r * k->width, k->width * sizeof(real));
        }
}

/* h as the output of step number s, which reads input t; a step that is left out repeats the output before it. */
static void put_output(const block *k, ptrdiff_t s, ptrdiff_t t)
{
    const fc_recurrence *j = k->job;
    for (ptrdiff_t r = 0; r < k->rows; r++) {
        real *y = (real *)j->y + (j->sequences ? (k->first + r) * j->steps + s : k->first + r) * k->units;
        if (!left_out(k, r, t))
            for (ptrdiff_t i = 0; i < k->units; i += LANES)
                store_part(y + i, load(P(H) + r * k->width + i), min_(k->units - i, LANES));
        else if (j->zero_masked || s == 0)
            memset(y, 0, k->units * sizeof(real));
        else if (j->sequences)
            memcpy(y, y - k->units, k->units * sizeof(real));
    }
}

/* ---- forward ---- */

static void lstm(const block *k)
{
    const fc_recurrence *j = k->job;
    multiply(k, H, 0, 0, 4, GATE, 1);
    map(k, j->recurrent, GATE + INPUT, GATE + INPUT, 2);
    map(k, j->activation, GATE + CELL, GATE + CELL, 1);
    map(k, j->recurrent, GATE + OUTPUT, GATE + OUTPUT, 1);
    EACH SET(C, AT(GATE + FORGET) * AT(C) + AT(GATE + INPUT) * AT(GATE + CELL));
    map(k, j->activation, C, H, 1);
    EACH SET(H, AT(H) * AT(GATE + OUTPUT));
}

static void gru(const block *k)
{
    const fc_recurrence *j = k->job;
    const int after = j->kind == FC_GRU;
    if (after) {
        for (ptrdiff_t v = 0; v < 3 * k->rows; v++) /* the rows of three planes */
            for (ptrdiff_t i = 0; i < k->units; i += LANES) {
                const real *bias = j->bias ? (const real *)j->bias + v / k->rows * k->units + i : NULL;
                store(P(PRODUCT) + v * k->width + i, bias ? load_part(bias, min_(k->units - i, LANES)) : (vec){0});
            }
        multiply(k, H, 0, 0, 3, PRODUCT, 1);
        for (ptrdiff_t i = 0; i < 2 * k->size; i += LANES) SET(GATE, AT(GATE) + AT(PRODUCT));
        copy(k, PRODUCT + NEW, GATE + RECURRENT, 1);
    } else
        multiply(k, H, 0, 0, 2, GATE, 1);
    map(k, j->recurrent, GATE, GATE, 2);
    if (after)
        EACH SET(GATE + NEW, AT(GATE + NEW) + AT(GATE + RESET) * AT(GATE + RECURRENT));
    else {
        EACH SET(C, AT(GATE + RESET) * AT(H));
        multiply(k, C, 0, NEW, 1, GATE + NEW, 0);
    }
    map(k, j->activation, GATE + NEW, GATE + NEW, 1);
    EACH SET(H, AT(GATE + NEW) + AT(GATE + UPDATE) * (AT(H) - AT(GATE + NEW)));
}

void FC_NAME(recurrence_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_recurrence *j = job;
    const block whole = block_of(j, index, scratch, 0), *k = &whole;
    lay(k, j->start[0], 1, 0, 1, H);
    lay(k, j->start[1], 1, 0, 1, C);
    for (ptrdiff_t s = 0; s < j->steps; s++) {
        const ptrdiff_t t = j->backwards ? j->steps - 1 - s : s;
        put(k, H, j->steps, t, 1, j->before);
        if (j->mask) copy(k, H, OLD, 2);
        lay(k, j->x, j->steps, t, (int)j->gates, GATE);
        if (j->kind == FC_LSTM)
            lstm(k);
        else if (j->kind != FC_SIMPLE)
            gru(k);
        else {
            multiply(k, H, 0, 0, 1, GATE, 0);
            map(k, j->activation, GATE, GATE, 1);
            copy(k, GATE, H, 1);
        }
        if (j->mask) keep(k, t, OLD, H, 2);
        put(k, GATE, j->steps, t, (int)j->kept, j->saved);
        put(k, C, j->steps, t, 1, j->cells);
        if (j->sequences || j->mask || s == j->steps - 1) put_output(k, s, t);
    }
    put(k, H, 1, 0, 1, j->last[0]);
    put(k, C, 1, 0, 1, j->last[1]);
}

/* ---- backward: from DY and DC to D, NEW_DH but for the products of D, and NEW_DC ---- */

/* ROOM is c after the step, BEFORE that before it. */
static void lstm_backward(const block *k)
{
    const fc_recurrence *j = k->job;
    map(k, j->activation, ROOM, ROOM, 1);
    EACH
    {
        SET(D + OUTPUT, AT(DY) * AT(ROOM));
        SET(DY, AT(DY) * AT(GATE + OUTPUT));
    }
    map_back(k, j->activation, DY, ROOM, 1);
    EACH
    {
        const vec dc = AT(DC) + AT(DY);
        SET(D + INPUT, dc * AT(GATE + CELL));
        SET(D + FORGET, dc * AT(BEFORE));
        SET(D + CELL, dc * AT(GATE + INPUT));
        SET(NEW_DC, dc * AT(GATE + FORGET));
    }
    map_back(k, j->recurrent, D + INPUT, GATE + INPUT, 2);
    map_back(k, j->activation, D + CELL, GATE + CELL, 1);
    map_back(k, j->recurrent, D + OUTPUT, GATE + OUTPUT, 1);
}

/* BEFORE is h before the step. */
static void gru_backward(const block *k)
{
    const fc_recurrence *j = k->job;
    EACH
    {
        SET(D + UPDATE, AT(DY) * (AT(BEFORE) - AT(GATE + NEW)));
        SET(D + NEW, AT(DY) * (1 - AT(GATE + UPDATE)));
        SET(NEW_DH, AT(DY) * AT(GATE + UPDATE));
    }
    map_back(k, j->activation, D + NEW, GATE + NEW, 1);
    if (j->kind == FC_GRU) EACH
        {
            SET(D + RESET, AT(D + NEW) * AT(GATE + RECURRENT));
            SET(D + RECURRENT, AT(D + NEW) * AT(GATE + RESET));
        }
    else {
        clear(k, ROOM, 1);
        multiply(k, D + NEW, 0, NEW, 1, ROOM, 0);
        EACH
        {
            SET(D + RESET, AT(ROOM) * AT(BEFORE));
            SET(NEW_DH, AT(NEW_DH) + AT(ROOM) * AT(GATE + RESET));
        }
    }
    map_back(k, j->recurrent, D, GATE, 2);
}

void FC_NAME(recurrence_backward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_recurrence *j = job;
    const block whole = block_of(j, index, scratch, 1), *k = &whole;
    const int gates = (int)j->gates;
    lay(k, j->dlast[0], 1, 0, 1, DH);
    lay(k, j->dlast[1], 1, 0, 1, DC);
    for (ptrdiff_t s = j->steps - 1; s >= 0; s--) {
        const ptrdiff_t t = j->backwards ? j->steps - 1 - s : s;
        if (j->sequences || s == j->steps - 1) {
            lay(k, j->dy, j->sequences ? j->steps : 1, j->sequences ? s : 0, 1, DY);
            EACH SET(PENDING, AT(PENDING) + AT(DY));
        }
        EACH SET(DY, AT(DH) + AT(PENDING));
        lay(k, j->saved, j->steps, t, (int)j->kept, GATE);
        clear(k, NEW_DH, 1);
        if (j->kind == FC_SIMPLE) {
            copy(k, DY, D, 1);
            map_back(k, j->activation, D, GATE, 1);
        } else if (j->kind == FC_LSTM) {
            lay(k, j->cells, j->steps, t, 1, ROOM);
            lay(k, s ? j->cells : j->start[1], s ? j->steps : 1, s ? t + k->ahead : 0, 1, BEFORE);
            lstm_backward(k);
        } else {
            lay(k, j->before, j->steps, t, 1, BEFORE);
            gru_backward(k);
        }
        if (j->mask) keep(k, t, -1, D, GATES);
        put(k, D, j->steps, t, gates, j->dx);
        if (j->kind == FC_GRU) {
            copy(k, D + RECURRENT, D + NEW, 1);
            put(k, D, j->steps, t, gates, j->dproduct);
        }
        multiply(k, D, 1, 0, j->kind == FC_GRU_BEFORE ? 2 : gates, NEW_DH, 0);
        if (j->mask) keep(k, t, DH, NEW_DH, 2);
        copy(k, NEW_DH, DH, 2);
        /* What is pending stays so where a step was left out, unless its output was a zero. */
        clear(k, ROOM, 1);
        if (j->mask && !j->zero_masked) keep(k, t, PENDING, ROOM, 1);
        copy(k, ROOM, PENDING, 1);
    }
    put(k, DH, 1, 0, 1, j->dstart[0]);
    put(k, DC, 1, 0, 1, j->dstart[1]);
}
