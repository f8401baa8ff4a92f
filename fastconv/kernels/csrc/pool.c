/* pool.c: max and average pooling and their gradients; vectors run over channels, one tile is one row of what is
 * written. Global pooling is the window that covers its input.
 */
#include "vector.h"

#include <string.h>

/* The first and past-the-last window that reads input cell `i`. */
FC_INLINE ptrdiff_t first_window(const fc_axis *a, ptrdiff_t i)
{
    const ptrdiff_t at = i - a->start - a->taps + 1;
    return at > 0 ? blocks(at, a->stride) : 0;
}
FC_INLINE ptrdiff_t last_window(const fc_axis *a, ptrdiff_t i)
{
    return min_((i - a->start) / a->stride + 1, a->output);
}

#define MAX_NAME(name) name
#define INDEX uint8_t
#include "pool_max.h"
#undef MAX_NAME
#undef INDEX
#define MAX_NAME(name) name##_wide
#define INDEX int32_t
#include "pool_max.h"

/* The number of real cells under window `o`. */
FC_INLINE ptrdiff_t cells(const fc_axis *a, ptrdiff_t o) { return last_tap(a, o) - first_tap(a, o); }

void FC_NAME(average_pool_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_pool *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, oh = tile % H->output, od = tile / H->output % D->output;
    const ptrdiff_t n = tile / H->output / D->output;
    const ptrdiff_t d0 = first_tap(D, od), d1 = last_tap(D, od), h0 = first_tap(H, oh), h1 = last_tap(H, oh);
    const real *x_n = (const real *)j->x + n * D->input * H->input * W->input * C;
    real *y = (real *)j->y + tile * W->output * C;

    for (ptrdiff_t ow = 0; ow < W->output; ow++, y += C) {
        const ptrdiff_t w0 = first_tap(W, ow), w1 = last_tap(W, ow);
        const real count = (real)((d1 - d0) * (h1 - h0) * (w1 - w0));
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            vec sum = {0};
            for (ptrdiff_t td = d0; td < d1; td++)
                for (ptrdiff_t th = h0; th < h1; th++)
                    for (ptrdiff_t tw = w0; tw < w1; tw++) {
                        const ptrdiff_t id = od * D->stride + td + D->start, ih = oh * H->stride + th + H->start;
                        const ptrdiff_t iw = ow * W->stride + tw + W->start;
                        sum += load_part(x_n + ((id * H->input + ih) * W->input + iw) * C + c, lanes);
                    }
            store_part(y + c, sum / count, lanes);
        }
    }
}

void FC_NAME(average_pool_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_pool *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, ih = tile % H->input, id = tile / H->input % D->input;
    const ptrdiff_t n = tile / H->input / D->input;
    const ptrdiff_t d0 = first_window(D, id), d1 = last_window(D, id);
    const ptrdiff_t h0 = first_window(H, ih), h1 = last_window(H, ih);
    real *dx = (real *)j->y + tile * W->input * C;

    for (ptrdiff_t iw = 0; iw < W->input; iw++, dx += C) {
        const ptrdiff_t w0 = first_window(W, iw), w1 = last_window(W, iw);
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            vec sum = {0};
            for (ptrdiff_t od = d0; od < d1; od++)
                for (ptrdiff_t oh = h0; oh < h1; oh++)
                    for (ptrdiff_t ow = w0; ow < w1; ow++) {
                        const ptrdiff_t at = (((n * D->output + od) * H->output + oh) * W->output + ow) * C + c;
                        const real share = 1 / (real)(cells(D, od) * cells(H, oh) * cells(W, ow));
                        sum += load_part((const real *)j->x + at, lanes) * share;
                    }
            store_part(dx + c, sum, lanes);
        }
    }
}
