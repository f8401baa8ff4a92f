/* window.h: the part of the input that a block of outputs reads, as a strided view.
 *
 * Where the block stays inside the input's width the view is the input itself. Where it does not, or where a group's
 * channels lie apart, the rows that are read are copied to scratch, with zeros for the padding. Rows that lie outside
 * by depth or height are never read (first_tap, last_tap), so the view only says where they would be.
 */
#ifndef FC_WINDOW_H
#define FC_WINDOW_H

#include "sizes.h"
#include "vector.h"

#include <string.h>

typedef struct {
    const real *data;            /* under tap (0, 0, 0) of the block's first output */
    ptrdiff_t depth, row, pixel; /* steps between depth taps, rows and columns of the input */
} view;

/* Whether every block of outputs reads inside the input's width. */
FC_INLINE int reads_inside(const fc_axis *W)
{
    return W->start >= 0 && (W->output - 1) * W->stride + (W->taps - 1) * W->dilation + W->start < W->input;
}

/* The cells of an axis under `count` outputs. */
FC_INLINE ptrdiff_t cells_under(const fc_axis *a, ptrdiff_t count)
{
    return (count - 1) * a->stride + (a->taps - 1) * a->dilation + 1;
}

/* Bytes that a view copies at most, of `depths` depth taps. */
FC_INLINE ptrdiff_t view_size(const fc_axis axis[3], ptrdiff_t channels, ptrdiff_t depths, ptrdiff_t rows,
                              ptrdiff_t columns)
{
    return FC_PRODUCT(depths, cells_under(&axis[1], rows), cells_under(&axis[2], columns), channels, sizeof(real));
}

/* `whole`: depths and rows outside are read too. */
FC_INLINE view window_view_(const int whole, const fc_axis axis[3], const void *x, const ptrdiff_t x_step[4],
                            ptrdiff_t n, ptrdiff_t groups, ptrdiff_t g, ptrdiff_t channels, ptrdiff_t od, ptrdiff_t row,
                            ptrdiff_t rows, ptrdiff_t column, ptrdiff_t columns, real *scratch)
{
    const fc_axis *D = &axis[0], *H = &axis[1], *W = &axis[2];
    const ptrdiff_t x_depth = x_step[1], x_row = x_step[2], pixel = x_step[3];
    const ptrdiff_t d = od * D->stride + D->start, h = row * H->stride + H->start, w = column * W->stride + W->start;
    const ptrdiff_t high = cells_under(H, rows), wide = cells_under(W, columns);
    const real *x_ng = (const real *)x + n * x_step[0] + g * channels;
    const ptrdiff_t d0 = first_tap(D, od), d1 = last_tap(D, od);
    const int inside =
        w >= 0 && w + wide <= W->input && (!whole || (h >= 0 && h + high <= H->input && d0 == 0 && d1 == D->taps));
    if (inside && (whole || groups == 1 || W->taps == 1 || W->dilation > 1))
        return (view){x_ng + d * x_depth + h * x_row + w * pixel, D->dilation * x_depth, x_row, pixel};

    const view v = {scratch, high * wide * channels, wide * channels, channels};
    const ptrdiff_t left = min_(max_(-w, 0), wide), right = max_(min_(W->input - w, wide), left);
    for (ptrdiff_t td = whole ? 0 : d0; td < (whole ? D->taps : d1); td++)
        for (ptrdiff_t r = 0; r < high; r++) {
            if (r % H->dilation > (rows - 1) * H->stride) { /* under no tap: the dilation is wider */
                r += H->dilation - r % H->dilation - 1;
                continue;
            }
            real *to = scratch + td * v.depth + r * v.row;
            if (td < d0 || td >= d1 || h + r < 0 || h + r >= H->input) {
                if (whole) memset(to, 0, v.row * sizeof(real));
                continue;
            }
            const real *from = x_ng + (d + td * D->dilation) * x_depth + (h + r) * x_row + w * pixel;
            for (ptrdiff_t i = 0; i < left * channels; i++) to[i] = 0;
            if (pixel == channels)
                memcpy(to + left * channels, from + left * pixel, (right - left) * channels * sizeof(real));
            else
                for (ptrdiff_t c = left; c < right; c++)
                    for (ptrdiff_t k = 0; k < channels; k++) to[c * channels + k] = from[c * pixel + k];
            for (ptrdiff_t i = right * channels; i < wide * channels; i++) to[i] = 0;
        }
    return v;
}

FC_INLINE view window_view(const fc_axis axis[3], const void *x, const ptrdiff_t x_step[4], ptrdiff_t n,
                           ptrdiff_t groups, ptrdiff_t g, ptrdiff_t channels, ptrdiff_t od, ptrdiff_t row,
                           ptrdiff_t rows, ptrdiff_t column, ptrdiff_t columns, real *scratch)
{
    return window_view_(0, axis, x, x_step, n, groups, g, channels, od, row, rows, column, columns, scratch);
}

/* Zeros stand for all padding. Taps lie anywhere in it: the reader steps by dilation. */
FC_INLINE view whole_window(const fc_axis axis[3], const void *x, const ptrdiff_t x_step[4], ptrdiff_t n,
                            ptrdiff_t groups, ptrdiff_t g, ptrdiff_t channels, ptrdiff_t od, ptrdiff_t row,
                            ptrdiff_t rows, ptrdiff_t column, ptrdiff_t columns, real *scratch)
{
    return window_view_(1, axis, x, x_step, n, groups, g, channels, od, row, rows, column, columns, scratch);
}

#endif
