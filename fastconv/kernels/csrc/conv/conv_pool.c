/* conv_pool.c: convolution, ReLU and max-pooling at once: a block of outputs is computed into scratch and pooled there,
 * so that the full map never reaches memory. Outputs that no window covers are not computed.
 */
#include "pool/pool_window.h"
#include "sizes.h"

/* The outputs of a tile's windows, in bytes. */
FC_INLINE ptrdiff_t map_size(const fc_conv_pool *j)
{
    const ptrdiff_t vectors = blocks(j->conv.filters, LANES);
    return FC_PRODUCT(j->pool[0], j->rows, j->pool[1], j->columns, j->pool[2], vectors, sizeof(vec));
}

ptrdiff_t FC_NAME(conv_pool_forward_size)(const void *job)
{
    const fc_conv_pool *j = job;
    fc_conv conv = j->conv;
    conv.rows = j->rows * j->pool[1], conv.columns = j->columns * j->pool[2];
    return map_size(j) + FC_NAME(conv_forward_size)(&conv);
}

void FC_NAME(conv_pool_forward)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_conv_pool *j = job;
    const fc_conv *conv = &j->conv;
    const ptrdiff_t *pool = j->pool, H = j->output[1], W = j->output[2];
    const ptrdiff_t row_blocks = blocks(H, j->rows), column_blocks = blocks(W, j->columns);
    const ptrdiff_t column = index % column_blocks * j->columns, row = (index /= column_blocks) % row_blocks * j->rows;
    const ptrdiff_t od = (index /= row_blocks) % j->output[0];
    const ptrdiff_t g = (index /= j->output[0]) % conv->groups, n = index / conv->groups;
    const ptrdiff_t rows = min_(H - row, j->rows), columns = min_(W - column, j->columns);

    const ptrdiff_t lanes = blocks(conv->filters, LANES) * LANES;
    const ptrdiff_t step[3] = {rows * pool[1] * columns * pool[2] * lanes, columns * pool[2] * lanes, lanes};
    real *map = scratch, *rest = map + map_size(j) / (ptrdiff_t)sizeof(real);
    for (ptrdiff_t d = 0; d < pool[0]; d++) {
        const fc_block k = {
            n,
            g,
            od * pool[0] + d,
            row * pool[1],
            rows * pool[1],
            column * pool[2],
            columns * pool[2],
            0,
            blocks(lanes, PANEL),
        };
        FC_NAME(conv_block)(conv, &k, map + d * step[0], step + 1, rest);
    }
    const ptrdiff_t all = conv->groups * conv->filters;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const ptrdiff_t at = (((n * j->output[0] + od) * H + row + r) * W + column) * all + g * conv->filters;
        pool_any(pool, columns, conv->filters, map + r * pool[1] * step[1], step, j->relu, all, (real *)j->y + at,
                 (uint8_t *)j->index + at);
    }
}
