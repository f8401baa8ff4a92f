/* rows.c: elementwise and row-wise kernels: ReLU, bias, softmax and their gradients.
 *
 * One tile is a block of rows of a contiguous array. NaN reaches every output that depends on it.
 */
#include "vector.h"

#include <math.h>

#if FC_DOUBLE
#define EXP exp
#define LOG log
#else
#define EXP expf
#define LOG logf
#endif

/* Where a tile starts and how many rows it has. */
#define TILE_ROWS(j, tile)                                                                                           \
    const ptrdiff_t first = (tile) * (j)->block, count = min_((j)->rows - first, (j)->block), width = (j)->width

void FC_NAME(relu_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    const real *restrict x = (const real *)j->a + first * width;
    real *restrict y = (real *)j->y + first * width;
    for (ptrdiff_t i = 0; i < count * width; i += LANES) {
        const ptrdiff_t lanes = min_(count * width - i, LANES);
        const vec v = load_part(x + i, lanes);
        store_part(y + i, select(v <= 0, (vec){0}, v), lanes); /* NaN <= 0 is false */
    }
}

/* dx = dy where y is not 0: a NaN lets its gradient through, as it let itself through. */
void FC_NAME(relu_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    const real *restrict dy = (const real *)j->a + first * width, *restrict y = (const real *)j->b + first * width;
    real *restrict dx = (real *)j->y + first * width;
    for (ptrdiff_t i = 0; i < count * width; i += LANES) {
        const ptrdiff_t lanes = min_(count * width - i, LANES);
        const vec mask = load_part(y + i, lanes);
        store_part(dx + i, select(mask <= 0, (vec){0}, load_part(dy + i, lanes)), lanes);
    }
}

void FC_NAME(bias_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    const real *restrict bias = j->b;
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict x = (const real *)j->a + r * width;
        real *restrict y = (real *)j->y + r * width;
        for (ptrdiff_t c = 0; c < width; c++) y[c] = x[c] + bias[c];
    }
}

/* The sum of a block's rows, added into row `tile` of y, which holds one row a block. Eight rows are added to one
 * another first, so that the sums of many rows lose less and no addition waits for the one before. */
void FC_NAME(bias_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    real *restrict y = (real *)j->y + tile * width;
    const real *restrict dy = (const real *)j->a + first * width;
    memset(y, 0, width * sizeof(real));
    ptrdiff_t r = 0;
    for (; r + 8 <= count; r += 8, dy += 8 * width)
        for (ptrdiff_t c = 0; c < width; c++)
            y[c] += ((dy[c] + dy[c + width]) + (dy[c + 2 * width] + dy[c + 3 * width]))
                  + ((dy[c + 4 * width] + dy[c + 5 * width]) + (dy[c + 6 * width] + dy[c + 7 * width]));
    for (; r < count; r++, dy += width)
        for (ptrdiff_t c = 0; c < width; c++) y[c] += dy[c];
}

/* The largest element; NaN if any is. */
FC_INLINE real row_max(const real *x, ptrdiff_t width)
{
    real top = x[0];
    for (ptrdiff_t c = 1; c < width; c++) top = x[c] > top || x[c] != x[c] ? x[c] : top;
    return top;
}

void FC_NAME(softmax_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict x = (const real *)j->a + r * width;
        real *restrict y = (real *)j->y + r * width;
        const real top = row_max(x, width);
        real sum = 0;
        for (ptrdiff_t c = 0; c < width; c++) sum += y[c] = EXP(x[c] - top);
        for (ptrdiff_t c = 0; c < width; c++) y[c] /= sum;
    }
}

/* dx = y * (dy - sum(dy * y)) */
void FC_NAME(softmax_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict dy = (const real *)j->a + r * width, *restrict y = (const real *)j->b + r * width;
        real *restrict dx = (real *)j->y + r * width, sum = 0;
        for (ptrdiff_t c = 0; c < width; c++) sum += dy[c] * y[c];
        for (ptrdiff_t c = 0; c < width; c++) dx[c] = y[c] * (dy[c] - sum);
    }
}

void FC_NAME(log_softmax_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict x = (const real *)j->a + r * width;
        real *restrict y = (real *)j->y + r * width, sum = 0;
        const real top = row_max(x, width);
        for (ptrdiff_t c = 0; c < width; c++) sum += EXP(x[c] - top);
        const real log_sum = LOG(sum);
        for (ptrdiff_t c = 0; c < width; c++) y[c] = x[c] - top - log_sum;
    }
}

/* dx = dy - exp(y) * sum(dy) */
void FC_NAME(log_softmax_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict dy = (const real *)j->a + r * width, *restrict y = (const real *)j->b + r * width;
        real *restrict dx = (real *)j->y + r * width, sum = 0;
        for (ptrdiff_t c = 0; c < width; c++) sum += dy[c];
        for (ptrdiff_t c = 0; c < width; c++) dx[c] = dy[c] - EXP(y[c]) * sum;
    }
}

/* Softmax and cross-entropy in one pass. The target is one int64 label a row, or a distribution over the classes. */
FC_INLINE void crossentropy_forward(const fc_rows *j, ptrdiff_t tile, const int labels)
{
    TILE_ROWS(j, tile);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict x = (const real *)j->a + r * width;
        real *restrict p = (real *)j->y + r * width, sum = 0, loss = 0;
        const real top = row_max(x, width);
        for (ptrdiff_t c = 0; c < width; c++) sum += p[c] = EXP(x[c] - top);
        const real log_sum = LOG(sum);
        for (ptrdiff_t c = 0; c < width; c++) p[c] /= sum;
        if (labels) {
            loss = log_sum - (x[((const int64_t *)j->b)[r]] - top);
        } else {
            const real *restrict t = (const real *)j->b + r * width;
            for (ptrdiff_t c = 0; c < width; c++) /* a class of weight 0 adds nothing, even at -inf */
                if (t[c] != 0) loss += t[c] * (log_sum - (x[c] - top));
        }
        ((real *)j->z)[r] = loss;
    }
}

/* dx = dloss * (p * sum(target) - target) */
FC_INLINE void crossentropy_backward(const fc_rows *j, ptrdiff_t tile, const int labels)
{
    TILE_ROWS(j, tile);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict p = (const real *)j->a + r * width, dloss = ((const real *)j->c)[r];
        real *restrict dx = (real *)j->y + r * width;
        if (labels) {
            for (ptrdiff_t c = 0; c < width; c++) dx[c] = dloss * p[c];
            const int64_t label = ((const int64_t *)j->b)[r];
            dx[label] = dloss * (p[label] - 1);
        } else {
            const real *restrict t = (const real *)j->b + r * width;
            real sum = 0;
            for (ptrdiff_t c = 0; c < width; c++) sum += t[c];
            for (ptrdiff_t c = 0; c < width; c++) dx[c] = dloss * (p[c] * sum - t[c]);
        }
    }
}

#define CROSSENTROPY(name, direction, labels)                                                                        \
    void FC_NAME(name)(const void *job, ptrdiff_t tile, void *scratch)                                               \
    {                                                                                                                \
        (void)scratch;                                                                                               \
        crossentropy_##direction(job, tile, labels);                                                                 \
    }
CROSSENTROPY(label_crossentropy_forward, forward, 1)
CROSSENTROPY(label_crossentropy_backward, backward, 1)
CROSSENTROPY(crossentropy_forward, forward, 0)
CROSSENTROPY(crossentropy_backward, backward, 0)
