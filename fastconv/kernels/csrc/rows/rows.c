/* rows.c: elementwise and row-wise kernels: ReLU, bias, softmax and their gradients.
 *
 * One tile is a block of rows of a contiguous array. NaN reaches every output that depends on it.
 */
#include "exp.h"
#include "vector.h"

#include <math.h>

#if FC_DOUBLE
#define LOG log
#else
#define LOG logf
#endif

/* Where a tile starts and how many rows it has. */
#define TILE_ROWS(j, tile) \
    const ptrdiff_t first = (tile) * (j)->block, count = min_((j)->rows - first, (j)->block), width = (j)->width

void FC_NAME(relu_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    const real *restrict x = (const real *)j->a + first * width;
    real *restrict y = (real *)j->y + first * width;
    for (ptrdiff_t i = 0; i < count * width; i++) y[i] = x[i] <= 0 ? 0 : x[i]; /* NaN <= 0 is false */
}

/* dx = dy where y is not 0: a NaN lets its gradient through, as it let itself through. */
void FC_NAME(relu_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    const real *restrict dy = (const real *)j->a + first * width, *restrict y = (const real *)j->b + first * width;
    real *restrict dx = (real *)j->y + first * width;
    for (ptrdiff_t i = 0; i < count * width; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
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

/* y += the sum of rows. Eight are added to one another first, so that the sums of many rows lose less and no addition
 * waits for the one before. */
FC_INLINE void add_rows(const real *restrict dy, ptrdiff_t rows, ptrdiff_t width, real *restrict y)
{
    ptrdiff_t r = 0;
    for (; r + 8 <= rows; r += 8, dy += 8 * width)
        for (ptrdiff_t c = 0; c < width; c++)
            y[c] += ((dy[c] + dy[c + width]) + (dy[c + 2 * width] + dy[c + 3 * width]))
                    + ((dy[c + 4 * width] + dy[c + 5 * width]) + (dy[c + 6 * width] + dy[c + 7 * width]));
    for (; r < rows; r++, dy += width)
        for (ptrdiff_t c = 0; c < width; c++) y[c] += dy[c];
}

/* The sum of a block's rows, in row `tile` of y, which holds one row a block. Narrow rows are summed as rows of
 * several, to fill vectors. */
void FC_NAME(bias_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    enum { ROOM = 128 };
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    real *y = (real *)j->y + tile * width;
    const real *dy = (const real *)j->a + first * width;
    memset(y, 0, width * sizeof(real));
    ptrdiff_t done = 0;
    if (width < ROOM / 4) {
        real sums[ROOM] = {0};
        const ptrdiff_t several = ROOM / width;
        done = count / several * several;
        add_rows(dy, count / several, several * width, sums);
        add_rows(sums, several, width, y);
    }
    add_rows(dy + done * width, count - done, width, y);
}

/* The largest element; NaN if any is. Without branches: where the largest stands is not to be predicted. */
FC_INLINE real row_max(const real *x, ptrdiff_t width)
{
    real top = x[0];
    int nan = top != top;
    ptrdiff_t c = 1;
    if (width >= LANES) {
        vec tops = load(x);
        ivec nans = tops != tops;
        for (c = LANES; c + LANES <= width; c += LANES) {
            const vec v = load(x + c);
            tops = select(v > tops, v, tops);
            nans |= v != v;
        }
        for (int i = 0; i < LANES; i++) {
            top = tops[i] > top ? tops[i] : top;
            nan |= nans[i] != 0;
        }
    }
    for (; c < width; c++) {
        top = x[c] > top ? x[c] : top;
        nan |= x[c] != x[c];
    }
    return nan ? (real)NAN : top;
}

FC_INLINE real lanes_sum(vec v)
{
    real sum = 0;
    for (int i = 0; i < LANES; i++) sum += v[i];
    return sum;
}

FC_INLINE real row_sum(const real *x, ptrdiff_t width)
{
    vec sums = {0};
    ptrdiff_t c = 0;
    for (; c + LANES <= width; c += LANES) sums += load(x + c);
    real sum = c ? lanes_sum(sums) : 0;
    for (; c < width; c++) sum += x[c];
    return sum;
}

/* The sum of x * y. */
FC_INLINE real row_dot(const real *x, const real *y, ptrdiff_t width)
{
    vec sums = {0};
    ptrdiff_t c = 0;
    for (; c + LANES <= width; c += LANES) sums += load(x + c) * load(y + c);
    real sum = c ? lanes_sum(sums) : 0;
    for (; c < width; c++) sum += x[c] * y[c];
    return sum;
}

/* y = exp(x), which may be the same array: over a block of rows at once, whatever their width. */
static void exp_block(const real *x, real *y, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) store(y + i, exp_vec(load(x + i)));
    if (i < count) store_part(y + i, exp_vec(load_part(x + i, count - i)), count - i);
}

/* y = exp(x - the row's largest) for a block of rows: 0 to 1, and 1 at least once. */
static void exp_shifted(const real *restrict x, real *restrict y, ptrdiff_t rows, ptrdiff_t width)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real top = row_max(x + r * width, width);
        for (ptrdiff_t c = 0; c < width; c++) y[r * width + c] = x[r * width + c] - top;
    }
    exp_block(y, y, rows * width);
}

void FC_NAME(softmax_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    exp_shifted((const real *)j->a + first * width, (real *)j->y + first * width, count, width);
    for (ptrdiff_t r = first; r < first + count; r++) {
        real *restrict y = (real *)j->y + r * width;
        const real sum = row_sum(y, width);
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
        real *restrict dx = (real *)j->y + r * width;
        const real sum = row_dot(dy, y, width);
        for (ptrdiff_t c = 0; c < width; c++) dx[c] = y[c] * (dy[c] - sum);
    }
}

void FC_NAME(log_softmax_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    exp_shifted((const real *)j->a + first * width, (real *)j->y + first * width, count, width);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict x = (const real *)j->a + r * width;
        real *restrict y = (real *)j->y + r * width;
        const real top = row_max(x, width), log_sum = LOG(row_sum(y, width));
        for (ptrdiff_t c = 0; c < width; c++) y[c] = x[c] - top - log_sum;
    }
}

/* dx = dy - exp(y) * sum(dy) */
void FC_NAME(log_softmax_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_rows *j = job;
    TILE_ROWS(j, tile);
    exp_block((const real *)j->b + first * width, (real *)j->y + first * width, count * width);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict dy = (const real *)j->a + r * width;
        real *restrict dx = (real *)j->y + r * width;
        const real sum = row_sum(dy, width);
        for (ptrdiff_t c = 0; c < width; c++) dx[c] = dy[c] - dx[c] * sum;
    }
}

/* Softmax and cross-entropy in one pass. The target is one int64 label a row, or a distribution over the classes. */
FC_INLINE void crossentropy_forward(const fc_rows *j, ptrdiff_t tile, const int labels)
{
    TILE_ROWS(j, tile);
    exp_shifted((const real *)j->a + first * width, (real *)j->y + first * width, count, width);
    for (ptrdiff_t r = first; r < first + count; r++) {
        const real *restrict x = (const real *)j->a + r * width;
        real *restrict p = (real *)j->y + r * width, loss = 0;
        const real top = row_max(x, width), sum = row_sum(p, width), log_sum = LOG(sum);
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
            const real sum = row_sum(t, width);
            for (ptrdiff_t c = 0; c < width; c++) dx[c] = dloss * (p[c] * sum - t[c]);
        }
    }
}

#define CROSSENTROPY(name, direction, labels)                          \
    void FC_NAME(name)(const void *job, ptrdiff_t tile, void *scratch) \
    {                                                                  \
        (void)scratch;                                                 \
        crossentropy_##direction(job, tile, labels);                   \
    }
CROSSENTROPY(label_crossentropy_forward, forward, 1)
CROSSENTROPY(label_crossentropy_backward, backward, 1)
CROSSENTROPY(crossentropy_forward, forward, 0)
CROSSENTROPY(crossentropy_backward, backward, 0)
