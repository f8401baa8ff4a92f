/* depthwise.c: depthwise convolution, pixel by pixel, several vectors of channels at once: forward, and backward-input
 * without strides (with steps that flip the kernel).
 *
 * x is read where it lies: to lay its rows out first, as grouped.c does, would cost as much as the convolution. Taps
 * outside the input are skipped.
 */
#include "vector.h"

enum { WIDE = 4 }; /* vectors of channels that pass together */

/* Taps of one pixel that lie inside the input. */
typedef struct {
    ptrdiff_t taps[3], x_step[3], w_step[3];
} box;

/* y of `pixels` neighbours, `vectors` vectors of channels each, all under the same taps; `lanes` of the last vector. */
FC_INLINE void pixel_tile(const ptrdiff_t pixels, const ptrdiff_t vectors, const box *b, const real *restrict x,
                          ptrdiff_t x_pixel, const real *restrict w, const real *restrict bias, real *restrict y,
                          ptrdiff_t y_pixel, ptrdiff_t lanes)
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
    pixel_tile(pixels, vectors, b, x + c, x_pixel, w + c, bias ? bias + c : 0, y + c, C, lanes)
    ptrdiff_t c = 0;
    for (; c + WIDE * LANES <= C; c += WIDE * LANES) VECTORS_AT(WIDE, LANES);
    for (; c + LANES <= C; c += LANES) VECTORS_AT(1, LANES);
    if (c == C) return;
    if (C >= LANES) /* the last vector overlaps the one before it */
        c = C - LANES, VECTORS_AT(1, LANES);
    else
        VECTORS_AT(1, C - c);
}

void FC_NAME(depthwise_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_depthwise *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, row = W->input * C, depth = H->input * row, all = j->batch * D->output * H->output;
    for (ptrdiff_t i = index * j->rows; i < min_(all, (index + 1) * j->rows); i++) {
        const ptrdiff_t oh = i % H->output, od = i / H->output % D->output, n = i / H->output / D->output;
        const ptrdiff_t d0 = first_tap(D, od), h0 = first_tap(H, oh);
        box b = {
            .taps = {last_tap(D, od) - d0, last_tap(H, oh) - h0, 0},
            .x_step = {D->dilation * depth, H->dilation * row, W->dilation * C},
            .w_step = {j->tap_step[0], j->tap_step[1], j->tap_step[2]},
        };
        const real *x = (const real *)j->x + n * D->input * depth + (od * D->stride + D->start + d0 * D->dilation) * depth
                      + (oh * H->stride + H->start + h0 * H->dilation) * row;
        const real *w = (const real *)j->weights + d0 * b.w_step[0] + h0 * b.w_step[1];
        real *y = (real *)j->y + i * W->output * C;
        const ptrdiff_t inner = first_output(W, 0), outer = last_output(W, W->taps - 1); /* no tap is outside */
        for (ptrdiff_t ow = 0; ow < W->output;) {
            const int pair = ow >= inner && ow + 2 <= outer;
            const ptrdiff_t t0 = pair ? 0 : first_tap(W, ow);
            b.taps[2] = pair ? W->taps : last_tap(W, ow) - t0;
            const real *x_o = x + (ow * W->stride + W->start + t0 * W->dilation) * C;
            if (pair)
                pixels_of(2, j, &b, x_o, w, y + ow * C), ow += 2;
            else
                pixels_of(1, j, &b, x_o, w + t0 * b.w_step[2], y + ow * C), ow += 1;
        }
    }
}
