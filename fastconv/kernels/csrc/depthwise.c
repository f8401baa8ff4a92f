/* depthwise.c: convolution where every channel has one filter of its own: vectors run over the channels.
 *
 * A register tile is a few neighbouring pixels of one vector of channels: each tap loads its weights once and
 * multiplies them with the pixels' inputs. Taps outside the input are skipped, never multiplied by zero. Forward, each
 * stride phase of backward-input (with steps that flip the kernel), and backward-kernel.
 */
#include "vector.h"

enum { CHUNK = 32, TAPS = 4 }; /* backward-kernel: pixels between accumulators' loads and stores; taps at once */

/* The taps of one output row: where they read, and how far apart they are. */
typedef struct {
    ptrdiff_t depths, heights;                  /* taps inside the input */
    ptrdiff_t x_depth, x_height, x_tap, x_pixel; /* steps in x: between taps, and between outputs */
    ptrdiff_t w_depth, w_height, w_tap, y_pixel;
} row;

FC_INLINE void pixel_tile(const ptrdiff_t pixels, const row *r, ptrdiff_t taps, ptrdiff_t channels, const real *x,
                          const real *w, const real *bias, real *restrict y)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const ptrdiff_t lanes = min_(channels - c, LANES);
        vec acc[8];
        const vec start = bias ? load_part(bias + c, lanes) : (vec){0};
        FC_UNROLL(8)
        for (ptrdiff_t m = 0; m < pixels; m++) acc[m] = start;
        for (ptrdiff_t td = 0; td < r->depths; td++)
            for (ptrdiff_t th = 0; th < r->heights; th++) {
                const real *x_t = x + td * r->x_depth + th * r->x_height + c;
                const real *w_t = w + td * r->w_depth + th * r->w_height + c;
                for (ptrdiff_t tw = 0; tw < taps; tw++, x_t += r->x_tap, w_t += r->w_tap) {
                    const vec weight = load_part(w_t, lanes);
                    FC_UNROLL(8)
                    for (ptrdiff_t m = 0; m < pixels; m++) acc[m] += load_part(x_t + m * r->x_pixel, lanes) * weight;
                }
            }
        FC_UNROLL(8)
        for (ptrdiff_t m = 0; m < pixels; m++) store_part(y + m * r->y_pixel + c, acc[m], lanes);
    }
}

void FC_NAME(depthwise_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_depthwise *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, oh = tile % H->output, od = tile / H->output % D->output;
    const ptrdiff_t n = tile / H->output / D->output, x_row = W->input * C, x_depth = H->input * x_row;
    const ptrdiff_t d0 = first_tap(D, od), h0 = first_tap(H, oh);
    const row r = {
        last_tap(D, od) - d0, last_tap(H, oh) - h0,
        D->dilation * x_depth, H->dilation * x_row, W->dilation * C, W->stride * C,
        j->tap_step[0], j->tap_step[1], j->tap_step[2], j->y_step[3],
    };
    const real *x = (const real *)j->x + (n * D->input + od * D->stride + D->start + d0 * D->dilation) * x_depth
                  + (oh * H->stride + H->start + h0 * H->dilation) * x_row;
    const real *w = (const real *)j->weights + d0 * r.w_depth + h0 * r.w_height;
    real *y = (real *)j->y + n * j->y_step[0] + od * j->y_step[1] + oh * j->y_step[2];
    const ptrdiff_t inner = first_output(W, 0), outer = last_output(W, W->taps - 1);

    for (ptrdiff_t ow = 0; ow < W->output;) {
        const ptrdiff_t free = ow >= inner ? outer - ow : 0; /* outputs from here on that read no padding */
        const ptrdiff_t t0 = first_tap(W, ow), taps = last_tap(W, ow) - t0;
        const real *x_t = x + (ow * W->stride + W->start + t0 * W->dilation) * C, *w_t = w + t0 * r.w_tap;
        real *y_t = y + ow * r.y_pixel;
        if (free >= 8)
            pixel_tile(8, &r, taps, C, x_t, w_t, j->bias, y_t), ow += 8;
        else if (free >= 4)
            pixel_tile(4, &r, taps, C, x_t, w_t, j->bias, y_t), ow += 4;
        else if (free >= 2)
            pixel_tile(2, &r, taps, C, x_t, w_t, j->bias, y_t), ow += 2;
        else
            pixel_tile(1, &r, taps, C, x_t, w_t, j->bias, y_t), ow += 1;
    }
}

/* sum[tap] += x * dy over some neighbouring outputs of one row, for `taps` neighbouring taps. */
FC_INLINE void tap_tile(const ptrdiff_t taps, const row *r, ptrdiff_t pixels, ptrdiff_t channels, const real *x,
                        const real *dy, real *restrict sum)
{
    for (ptrdiff_t c = 0; c < channels; c += LANES) {
        const ptrdiff_t lanes = min_(channels - c, LANES);
        vec acc[TAPS];
        FC_UNROLL(4)
        for (ptrdiff_t t = 0; t < taps; t++) acc[t] = load_part(sum + t * channels + c, lanes);
        for (ptrdiff_t p = 0; p < pixels; p++) {
            const vec g = load_part(dy + p * channels + c, lanes);
            FC_UNROLL(4)
            for (ptrdiff_t t = 0; t < taps; t++)
                acc[t] += load_part(x + p * r->x_pixel + t * r->x_tap + c, lanes) * g;
        }
        FC_UNROLL(4)
        for (ptrdiff_t t = 0; t < taps; t++) store_part(sum + t * channels + c, acc[t], lanes);
    }
}

/* The outputs from `from` to before `to`, of `taps` taps that all lie inside the input. `x` is under the first tap of
 * output 0. */
static void tap_range(ptrdiff_t taps, const row *r, ptrdiff_t from, ptrdiff_t to, ptrdiff_t channels, const real *x,
                      const real *dy, real *sum)
{
    for (ptrdiff_t ow = from; ow < to; ow += CHUNK) {
        const ptrdiff_t pixels = min_(to - ow, CHUNK);
        const real *x_o = x + ow * r->x_pixel, *dy_o = dy + ow * channels;
        switch (taps) {
        case 4: tap_tile(4, r, pixels, channels, x_o, dy_o, sum); break;
        case 3: tap_tile(3, r, pixels, channels, x_o, dy_o, sum); break;
        case 2: tap_tile(2, r, pixels, channels, x_o, dy_o, sum); break;
        default: tap_tile(1, r, pixels, channels, x_o, dy_o, sum);
        }
    }
}

/* partial[tile] (taps, channels) = the sum over an even share of the output rows. */
void FC_NAME(depthwise_backward_kernel)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_depthwise_kernel *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, rows = j->batch * D->output * H->output, x_row = W->input * C;
    const ptrdiff_t size = D->taps * H->taps * W->taps * C;
    const row r = {.x_tap = W->dilation * C, .x_pixel = W->stride * C};
    real *partial = (real *)j->partial + tile * size;
    memset(partial, 0, size * sizeof(real));

    for (ptrdiff_t i = rows * tile / j->slices; i < rows * (tile + 1) / j->slices; i++) {
        const ptrdiff_t oh = i % H->output, od = i / H->output % D->output, n = i / H->output / D->output;
        const real *dy = (const real *)j->dy + i * W->output * C;
        for (ptrdiff_t td = first_tap(D, od); td < last_tap(D, od); td++)
            for (ptrdiff_t th = first_tap(H, oh); th < last_tap(H, oh); th++) {
                const ptrdiff_t id = od * D->stride + td * D->dilation + D->start;
                const ptrdiff_t ih = oh * H->stride + th * H->dilation + H->start;
                const real *x = (const real *)j->x + ((n * D->input + id) * H->input + ih) * x_row + W->start * C;
                real *sum = partial + (td * H->taps + th) * W->taps * C;
                for (ptrdiff_t tw = 0; tw < W->taps; tw += TAPS) {
                    const ptrdiff_t taps = min_(W->taps - tw, TAPS);
                    const ptrdiff_t inner = first_output(W, tw);
                    const ptrdiff_t outer = max_(last_output(W, tw + taps - 1), inner);
                    tap_range(taps, &r, inner, outer, C, x + tw * r.x_tap, dy, sum + tw * C);
                    for (ptrdiff_t t = tw; t < tw + taps; t++) { /* outputs where only some of the taps are inside */
                        const real *x_t = x + t * r.x_tap;
                        const ptrdiff_t from = first_output(W, t), to = last_output(W, t);
                        tap_range(1, &r, from, min_(to, inner), C, x_t, dy, sum + t * C);
                        tap_range(1, &r, max_(from, outer), to, C, x_t, dy, sum + t * C);
                    }
                }
            }
    }
}
