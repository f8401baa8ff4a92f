/* depthwise.c: depthwise convolution: forward, and backward-input without strides (with steps that flip the kernel).
 *
 * x is read where it lies: to lay its rows out first, as grouped.c does, would cost as much as the convolution. Long rows
 * of 3 or 5 taps slide along x, one vector of channels at a time, so that each input is loaded once for all outputs of the
 * row; others go pixel by pixel, several vectors at once. Taps outside the input are skipped.
 */
#include "ahead.h"

enum { WIDE = 4 }; /* vectors of channels that pass together */

/* Taps of one pixel that lie inside the input. */
typedef struct {
    ptrdiff_t taps[3], x_step[3], w_step[3];
} box;

/* y of `pixels` neighbours, `vectors` vectors of channels each, all under the same taps; `lanes` of the last vector. */
FC_INLINE void pixel_tile(const ptrdiff_t pixels, const ptrdiff_t vectors, const box *b, const real *restrict x,
                          ptrdiff_t x_pixel, const real *restrict w, const real *restrict bias, real *restrict y,
                          ptrdiff_t y_pixel, ptrdiff_t lanes, const fc_depthwise *j)
{
    vec acc[2][WIDE];
    FC_UNROLL(4)
    for (ptrdiff_t v = 0; v < vectors; v++) {
        const vec start = bias ? load_part(bias + v * LANES, lanes) : (vec){0};
        FC_UNROLL(2)
        for (ptrdiff_t m = 0; m < pixels; m++) acc[m][v] = start;
    }
    for (ptrdiff_t td = 0; td < b->taps[0]; td++)
        for (ptrdiff_t th = 0; th < b->taps[1]; th++) {
            const real *x_t = x + td * b->x_step[0] + th * b->x_step[1];
            const real *w_t = w + td * b->w_step[0] + th * b->w_step[1];
            for (ptrdiff_t tw = 0; tw < b->taps[2]; tw++, x_t += b->x_step[2], w_t += b->w_step[2])
                FC_UNROLL(4)
                for (ptrdiff_t v = 0; v < vectors; v++) {
                    const vec weight = load_part(w_t + v * LANES, lanes);
                    FC_UNROLL(2)
                    for (ptrdiff_t m = 0; m < pixels; m++)
                        acc[m][v] += load_part(x_t + m * x_pixel + v * LANES, lanes) * weight;
                }
        }
    if (finishes(&j->finish)) {
        const ptrdiff_t at = y - (const real *)j->y;
        FC_UNROLL(2)
        for (ptrdiff_t m = 0; m < pixels; m++)
            FC_UNROLL(4)
            for (ptrdiff_t v = 0; v < vectors; v++)
                acc[m][v] = finished(&j->finish, acc[m][v], at + m * y_pixel + v * LANES, lanes);
    }
    FC_UNROLL(2)
    for (ptrdiff_t m = 0; m < pixels; m++)
        FC_UNROLL(4)
        for (ptrdiff_t v = 0; v < vectors; v++) store_part(y + m * y_pixel + v * LANES, acc[m][v], lanes);
}

/* All channels of `pixels` neighbours. */
FC_INLINE void pixels_of(const ptrdiff_t pixels, const fc_depthwise *j, const box *b, const real *x, const real *w,
                         real *y)
{
    const ptrdiff_t C = j->channels, x_pixel = j->axis[2].stride * C;
    const real *bias = j->bias;
#define VECTORS_AT(vectors, lanes)                                                                                   \
    pixel_tile(pixels, vectors, b, x + c, x_pixel, w + c, bias ? bias + c : 0, y + c, C, lanes, j)
    ptrdiff_t c = 0;
    for (; c + WIDE * LANES <= C; c += WIDE * LANES) VECTORS_AT(WIDE, LANES);
    for (; c + LANES <= C; c += LANES) VECTORS_AT(1, LANES);
    if (c == C) return;
    if (C >= LANES) /* the last vector overlaps the one before it */
        c = C - LANES, VECTORS_AT(1, LANES);
    else
        VECTORS_AT(1, C - c);
}

/* ---- long rows ---- */

enum { MOST_TAPS = 5, HELD = 3, ROWS = 8 }; /* HELD: rows of 3 weights that stay in registers; ROWS: of outputs, at a time */
enum { LONG = 192 / LANES };                /* outputs that are worth what a row costs before the first */

/* A row of outputs: the tap rows that lie inside x, by depth and height, and the first one's inputs, at column 0, and
 * weights. */
typedef struct {
    ptrdiff_t depths, heights;
    const real *x, *w;
    real *y;
} row_job;

/* Adds a column of inputs to the outputs whose windows it is under: tap 0 of the last one, tap 1 of the one before. */
FC_INLINE void add_column(const ptrdiff_t taps, const int held, const row_job *r, const box *b, const real *restrict x,
                          const real *restrict w, vec weight[HELD][MOST_TAPS], vec *sum)
{
    if (held) {
        FC_UNROLL(3)
        for (ptrdiff_t h = 0; h < HELD; h++) {
            const vec v = load(x + h * b->x_step[1]);
            FC_UNROLL(5)
            for (ptrdiff_t t = 0; t < taps; t++) sum[taps - 1 - t] += v * weight[h][t];
        }
        return;
    }
    for (ptrdiff_t d = 0; d < r->depths; d++) {
        const real *x_h = x + d * b->x_step[0], *w_h = w + d * b->w_step[0];
        for (ptrdiff_t h = 0; h < r->heights; h++, x_h += b->x_step[1], w_h += b->w_step[1]) {
            const vec v = load(x_h);
            FC_UNROLL(5)
            for (ptrdiff_t t = 0; t < taps; t++) sum[taps - 1 - t] += v * load(w_h + t * b->w_step[2]);
        }
    }
}

/* The outputs slide along the row: each column of inputs is loaded once, for all outputs that it is under. Those whose
 * windows are not over yet are in `sum`, the last one at its end. */
FC_INLINE void slide(const ptrdiff_t taps, const int held, const fc_depthwise *j, const box *b, const row_job *r, ptrdiff_t c)
{
    const fc_axis *W = &j->axis[2];
    const ptrdiff_t C = j->channels, outputs = W->output;
    /* Columns count from tap 0 of output 0 on. */
    const ptrdiff_t first = max_(-W->start, 0), end = min_(W->input - W->start, outputs - 1 + taps);
    const real *w = r->w + c;
    const int finish = finishes(&j->finish);
    const vec start = j->bias ? load((const real *)j->bias + c) : (vec){0};
    vec weight[HELD][MOST_TAPS], sum[MOST_TAPS];
    if (held) {
        FC_UNROLL(3)
        for (ptrdiff_t h = 0; h < HELD; h++) {
            FC_UNROLL(5)
            for (ptrdiff_t t = 0; t < taps; t++) weight[h][t] = load(w + h * b->w_step[1] + t * b->w_step[2]);
        }
    }
    FC_UNROLL(5)
    for (ptrdiff_t t = 0; t < taps; t++) sum[t] = start;
    ptrdiff_t o = min_(first - (taps - 1), 0), i = o + taps - 1; /* o: the output at the start of `sum` */
    const real *x = r->x + (W->start + i) * C + c;
    real *y = r->y + o * C + c;
    while (o < outputs) { /* the outputs before the next one that differs in what is stored or read */
        const int stored = o >= 0, read = i >= first && i < end;
        const ptrdiff_t stop = min_(o + (i < first ? first - i : read ? end - i : outputs), stored ? outputs : 0);
        for (; o < stop; o++, i++, x += C, y += C) {
            if (read) add_column(taps, held, r, b, x, w, weight, sum);
            if (stored) store(y, finish ? finished(&j->finish, sum[0], y - (const real *)j->y, LANES) : sum[0]);
            FC_UNROLL(5)
            for (ptrdiff_t t = 0; t < taps - 1; t++) sum[t] = sum[t + 1];
            sum[taps - 1] = start;
        }
    }
}

/* Functions of their own, so that addresses stay in registers. */
typedef void row_function(const fc_depthwise *, const box *, const row_job *, ptrdiff_t c);
#define ROW(name, taps, held)                                                                                        \
    static __attribute__((noinline)) void name(const fc_depthwise *j, const box *b, const row_job *r, ptrdiff_t c)   \
    {                                                                                                                \
        slide(taps, held, j, b, r, c);                                                                               \
    }
ROW(row_of_3_held, 3, 1) ROW(row_of_3, 3, 0) ROW(row_of_5, 5, 0)

/* Up to ROWS rows of outputs, all of a vector of channels before the next: their inputs stay in the first cache. The last
 * vector overlaps the one before it. `next`: what is read after these rows. */
static void slide_rows(const fc_depthwise *j, const box *b, const row_job *rows, ptrdiff_t count, const ahead *next)
{
    const ptrdiff_t C = j->channels;
    for (ptrdiff_t c = 0; c < C; c += LANES) {
        ask(0, next, c / LANES);
        for (const row_job *r = rows; r < rows + count; r++) {
            const int held = r->depths == 1 && r->heights == HELD;
            row_function *row = j->axis[2].taps == 5 ? row_of_5 : held ? row_of_3_held : row_of_3;
            row(j, b, r, min_(c, C - LANES));
        }
    }
}

/* ---- the tiles ---- */

void FC_NAME(depthwise_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_depthwise *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, row = W->input * C, depth = H->input * row, all = j->batch * D->output * H->output;
    const ptrdiff_t end = min_(all, (index + 1) * j->rows), inner = first_output(W, 0), outer = last_output(W, W->taps - 1);
    const int slides = FC_BYTES >= 32 && (W->taps == 3 || W->taps == 5) && W->dilation == 1 && W->stride == 1 && W->output >= LONG && C >= LANES;
    box b = {
        .x_step = {D->dilation * depth, H->dilation * row, W->dilation * C},
        .w_step = {j->tap_step[0], j->tap_step[1], j->tap_step[2]},
    };
    row_job rows[ROWS];
    ptrdiff_t count = 0;
    for (ptrdiff_t i = index * j->rows; i < end; i++) {
        const ptrdiff_t oh = i % H->output, od = i / H->output % D->output, n = i / H->output / D->output;
        const ptrdiff_t d0 = first_tap(D, od), h0 = first_tap(H, oh);
        const row_job r = {
            last_tap(D, od) - d0, last_tap(H, oh) - h0,
            (const real *)j->x + n * D->input * depth + (od * D->stride + D->start + d0 * D->dilation) * depth
                + (oh * H->stride + H->start + h0 * H->dilation) * row,
            (const real *)j->weights + d0 * j->tap_step[0] + h0 * j->tap_step[1], (real *)j->y + i * W->output * C,
        };
        if (slides) {
            rows[count++] = r;
            if (count < ROWS && i + 1 < end) continue;
            const real *behind = r.x + (r.depths - 1) * b.x_step[0] + r.heights * b.x_step[1];
            const ptrdiff_t left = (const real *)j->x + j->batch * D->input * depth - behind;
            const ahead next = ahead_of(behind, min_(left, count * H->stride * row), blocks(C, LANES));
            slide_rows(j, &b, rows, count, &next);
            if (j->finish.map) FC_NAME(map_rows)(&j->finish, rows[0].y, count, W->output * C, W->output * C);
            count = 0;
            continue;
        }
        b.taps[0] = r.depths, b.taps[1] = r.heights;
        for (ptrdiff_t ow = 0; ow < W->output;) {
            const int pair = ow >= inner && ow + 2 <= outer; /* no tap is outside */
            const ptrdiff_t t0 = pair ? 0 : first_tap(W, ow);
            b.taps[2] = pair ? W->taps : last_tap(W, ow) - t0;
            const real *x_o = r.x + (ow * W->stride + W->start + t0 * W->dilation) * C;
            if (pair)
                pixels_of(2, j, &b, x_o, r.w, r.y + ow * C), ow += 2;
            else
                pixels_of(1, j, &b, x_o, r.w + t0 * b.w_step[2], r.y + ow * C), ow += 1;
        }
        if (j->finish.map) FC_NAME(map_rows)(&j->finish, r.y, 1, 0, W->output * C);
    }
}
