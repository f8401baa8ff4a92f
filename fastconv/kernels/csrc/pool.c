/* pool.c: max and average pooling and their gradients; vectors run over channels, one tile is one row of what is
 * written. Global pooling is the window that covers its input.
 */
#include "pool_window.h"

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

/* The number of real cells under window `o`. */
FC_INLINE ptrdiff_t cells(const fc_axis *a, ptrdiff_t o) { return last_tap(a, o) - first_tap(a, o); }

/* Whether no window reads padding along this axis. */
FC_INLINE int whole_rows(const fc_axis *a)
{
    return a->start >= 0 && (a->output - 1) * a->stride + a->taps + a->start <= a->input;
}

/* A row of max-pooled windows that read no padding, the first at x. */
FC_INLINE void pool_windows(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, const fc_pool *j, const real *x,
                            real *y, uint8_t *index)
{
    const ptrdiff_t C = j->channels, row = j->axis[2].input * C, next = j->axis[2].stride * C;
    const ptrdiff_t step[3] = {j->axis[1].input * row, row, C};
    for (ptrdiff_t ow = 0; ow < j->axis[2].output; ow++, x += next, y += C, index += C) {
        ptrdiff_t c = 0;
        for (; c + LANES <= C; c += LANES) pool_window(d1, h1, w1, x + c, step, 0, LANES, y + c, index + c);
        if (c < C) pool_window_part(d1, h1, w1, x + c, step, C - c, y + c, index + c);
    }
}

/* function(taps of the axes, ...), compiled for the commonest windows. */
#define IF_WINDOW(d, h, w, function, ...)                                                                            \
    if (j->axis[0].taps == d && j->axis[1].taps == h && j->axis[2].taps == w) function(d, h, w, __VA_ARGS__);         \
    else
#define BY_WINDOW(function, ...)                                                                                     \
    IF_WINDOW(1, 2, 2, function, __VA_ARGS__)                                                                        \
    IF_WINDOW(1, 1, 2, function, __VA_ARGS__)                                                                        \
    IF_WINDOW(2, 2, 2, function, __VA_ARGS__)                                                                        \
    IF_WINDOW(1, 3, 3, function, __VA_ARGS__)                                                                        \
    function(j->axis[0].taps, j->axis[1].taps, j->axis[2].taps, __VA_ARGS__);

static void pool_row(const fc_pool *j, const real *x, real *y, uint8_t *index)
{
    BY_WINDOW(pool_windows, j, x, y, index)
}

#define MAX_NAME(name) name
#define INDEX uint8_t
#include "pool_max.h"
#undef MAX_NAME
#undef INDEX
#define MAX_NAME(name) name##_wide
#define INDEX int32_t
#include "pool_max.h"

/* A row of means over windows that read no padding, the first at x. */
FC_INLINE void average_windows(const ptrdiff_t d1, const ptrdiff_t h1, const ptrdiff_t w1, const fc_pool *j,
                               const real *x, real *y)
{
    const ptrdiff_t C = j->channels, row = j->axis[2].input * C, next = j->axis[2].stride * C;
    const ptrdiff_t depth = j->axis[1].input * row;
    const real count = (real)(d1 * h1 * w1);
    for (ptrdiff_t ow = 0; ow < j->axis[2].output; ow++, x += next, y += C)
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            vec sum = {0};
            for (ptrdiff_t d = 0; d < d1; d++)
                for (ptrdiff_t h = 0; h < h1; h++)
                    for (ptrdiff_t w = 0; w < w1; w++) sum += load_part(x + d * depth + h * row + w * C + c, lanes);
            store_part(y + c, sum / count, lanes);
        }
}

static void average_row(const fc_pool *j, const real *x, real *y)
{
    BY_WINDOW(average_windows, j, x, y)
}

/* One row of dx where windows do not overlap: each gradient's share goes to its cells, the others are 0. */
static void average_spread(const fc_axis *W, ptrdiff_t C, real cells_above, const real *dy, real *dx)
{
    ptrdiff_t done = 0; /* cells written so far */
    for (ptrdiff_t ow = 0; ow < W->output; ow++, dy += C) {
        const ptrdiff_t cell = ow * W->stride + W->start, t0 = first_tap(W, ow), t1 = last_tap(W, ow);
        const real share = 1 / (cells_above * (real)(t1 - t0));
        memset(dx + done * C, 0, (cell + t0 - done) * C * sizeof(real));
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            const vec g = load_part(dy + c, lanes) * share;
            for (ptrdiff_t t = t0; t < t1; t++) store_part(dx + (cell + t) * C + c, g, lanes);
        }
        done = cell + t1;
    }
    memset(dx + done * C, 0, (W->input - done) * C * sizeof(real));
}

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

    if (d1 - d0 == D->taps && h1 - h0 == H->taps && whole_rows(W)) {
        const ptrdiff_t id = od * D->stride + D->start, ih = oh * H->stride + H->start;
        average_row(j, x_n + ((id * H->input + ih) * W->input + W->start) * C, y);
        return;
    }

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

    if (D->stride >= D->taps && H->stride >= H->taps && W->stride >= W->taps) {
        if (d0 >= d1 || h0 >= h1) {
            memset(dx, 0, W->input * C * sizeof(real));
            return;
        }
        const real *dy = (const real *)j->x + ((n * D->output + d0) * H->output + h0) * W->output * C;
        average_spread(W, C, (real)(cells(D, d0) * cells(H, h0)), dy, dx);
        return;
    }

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
