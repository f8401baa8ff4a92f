/* conv_scatter.c: backward-input for inputs of so few channels that they would leave most of a vector empty.
 *
 * The lanes are (tap, channel): each pixel of dy gives its products with every tap, summed over the filters, and the
 * rows of taps are added where they belong in dx. A tile owns a block of dx and computes all that reaches it, so
 * nothing is shared; dy at the block's edge is read by its neighbours too. One group only.
 */
#include "sizes.h"
#include "vector.h"

fc_tile FC_NAME(conv_forward); /* multiplies: dy's pixels are a row of a pointwise convolution */

/* Taps [first, last) of output `o` that fall in [from, to). */
typedef struct {
    ptrdiff_t at, first, last; /* at: where tap 0 falls */
} reach;

static reach reach_of(const fc_axis *a, ptrdiff_t o, ptrdiff_t from, ptrdiff_t to)
{
    const ptrdiff_t at = o * a->stride + a->start;
    return (reach){
        at,
        at >= from ? 0 : min_(blocks(from - at, a->dilation), a->taps),
        at >= to ? 0 : min_(blocks(to - at, a->dilation), a->taps),
    };
}

/* The first and past-the-last output that may reach [from, to): those between need not, where taps are dilated. */
static ptrdiff_t first_reaching(const fc_axis *a, ptrdiff_t from)
{
    const ptrdiff_t low = from - a->start - (a->taps - 1) * a->dilation;
    return low <= 0 ? 0 : min_(blocks(low, a->stride), a->output);
}
static ptrdiff_t last_reaching(const fc_axis *a, ptrdiff_t to)
{
    return min_(blocks(max_(to - a->start, 0), a->stride), a->output);
}

/* dx[run] += products[run]: the taps [first, last) of one kernel row. */
FC_INLINE void add_row(const fc_axis *W, ptrdiff_t C, reach w, const real *restrict products, real *restrict dx)
{
    const ptrdiff_t taps = W->dilation == 1 ? 1 : w.last - w.first, run = W->dilation == 1 ? (w.last - w.first) * C : C;
    for (ptrdiff_t t = 0; t < taps; t++) {
        const real *from = products + (w.first + t) * C;
        real *to = dx + (w.at + (w.first + t) * W->dilation) * C;
        for (ptrdiff_t i = 0; i < run; i++) to[i] += from[i];
    }
}

/* dx[run] = what the products are added to: the bias, or zeros. */
FC_INLINE void start_row(const real *bias, ptrdiff_t C, ptrdiff_t pixels, real *restrict dx)
{
    if (!bias) {
        memset(dx, 0, pixels * C * sizeof(real));
        return;
    }
    for (ptrdiff_t p = 0; p < pixels; p++)
        for (ptrdiff_t c = 0; c < C; c++) dx[p * C + c] = bias[c];
}

ptrdiff_t FC_NAME(conv_scatter_size)(const void *job)
{
    const fc_scatter *j = job;
    const fc_axis *a = j->axis;
    return FC_PRODUCT(j->block, blocks(a[0].taps * a[1].taps * a[2].taps * j->channels, LANES), sizeof(vec));
}

void FC_NAME(conv_scatter)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_scatter *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, K = j->filters, row_run = W->taps * C;
    const ptrdiff_t lanes = blocks(D->taps * H->taps * row_run, LANES) * LANES;
    const ptrdiff_t row_blocks = blocks(H->input, j->rows), column_blocks = blocks(W->input, j->columns);
    const ptrdiff_t column = index % column_blocks * j->columns, row = (index /= column_blocks) % row_blocks * j->rows;
    const ptrdiff_t n = index / row_blocks;
    const ptrdiff_t row_end = min_(row + j->rows, H->input), column_end = min_(column + j->columns, W->input);
    const ptrdiff_t o_first = first_reaching(W, column), o_last = last_reaching(W, column_end);
    const ptrdiff_t dx_row = W->input * C, dx_depth = H->input * dx_row, dy_row = W->output * K;
    const real *dy_n = (const real *)j->dy + n * D->output * H->output * dy_row;
    real *dx_n = (real *)j->dx + n * D->input * dx_depth, *const products = scratch;

    for (ptrdiff_t d = 0; d < D->input; d++)
        for (ptrdiff_t h = row; h < row_end; h++)
            start_row(j->bias, C, column_end - column, dx_n + d * dx_depth + h * dx_row + column * C);

    for (ptrdiff_t od = 0; od < D->output; od++)
        for (ptrdiff_t oh = first_reaching(H, row); oh < last_reaching(H, row_end); oh++) {
            const reach d = reach_of(D, od, 0, D->input), h = reach_of(H, oh, row, row_end);
            if (d.first >= d.last || h.first >= h.last) continue;
            /* only the panels that hold these taps */
            const ptrdiff_t first = (d.first * H->taps + h.first) * row_run / PANEL * PANEL;
            const ptrdiff_t end = blocks(((d.last - 1) * H->taps + h.last) * row_run, PANEL) * PANEL;
            const ptrdiff_t width = min_(end, lanes) - first;
            for (ptrdiff_t o = o_first; o < o_last; o += j->block) {
                const ptrdiff_t pixels = min_(o_last - o, j->block);
                const fc_conv product = {
                    .x = dy_n + (od * H->output + oh) * dy_row + o * K,
                    .packed = (const real *)j->packed + first * K,
                    .packed_bias = j->zeros,
                    .y = products,
                    .axis = {{1, 1, 1, 1, 1, 0}, {1, 1, 1, 1, 1, 0}, {pixels, pixels, 1, 1, 1, 0}},
                    .batch = 1,
                    .groups = 1,
                    .channels = K,
                    .filters = width,
                    .x_step = {0, 0, 0, K},
                    .y_step = {0, 0, 0, width},
                    .rows = 1,
                    .columns = pixels,
                    .parts = 1,
                };
                FC_NAME(conv_forward)(&product, 0, NULL);
                for (ptrdiff_t p = 0; p < pixels; p++) {
                    const reach w = reach_of(W, o + p, column, column_end);
                    if (w.first >= w.last) continue;
                    for (ptrdiff_t td = d.first; td < d.last; td++)
                        for (ptrdiff_t th = h.first; th < h.last; th++)
                            add_row(W, C, w, products + p * width + (td * H->taps + th) * row_run - first,
                                    dx_n + (d.at + td * D->dilation) * dx_depth + (h.at + th * H->dilation) * dx_row);
                }
            }
        }
}
