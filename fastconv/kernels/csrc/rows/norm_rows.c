/* norm_rows.c: layer and RMS normalization and their gradients; statistics of rows. One tile is a block of rows.
 *
 * Sums run in `real` over a chunk of a row and in double over the chunks; deviations are taken from the row's own mean,
 * so that one far above them costs no digits. NaN reaches every output that depends on it.
 */
#include "far.h"

#include <math.h>

enum { CHUNK = 4096, SUMS = 4 }; /* elements that are summed in `real`; vectors that take them in turns */

/* The sum of a vector's lanes: 16 bytes at a time first, which GCC's own way of halves is not. */
FC_INLINE real lanes_total(vec v)
{
    typedef real quarter __attribute__((vector_size(16)));
    quarter part[FC_BYTES / 16];
    memcpy(part, &v, sizeof v);
    FC_UNROLL(2)
    for (int half = FC_BYTES / 32; half; half /= 2)
        FC_UNROLL(2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    real sum = part[0][0] + part[0][1];
    FC_UNROLL(2)
    for (int i = 2; i < (int)(16 / sizeof(real)); i += 2) sum += part[0][i] + part[0][i + 1];
    return sum;
}

/* The sum of x - center, or of its squares. */
FC_INLINE double row_total(const real *x, ptrdiff_t width, real center, const int squared)
{
    double total = 0;
    for (ptrdiff_t from = 0; from < width; from += CHUNK) {
        const ptrdiff_t last = min_(from + CHUNK, width);
        vec sums[SUMS] = {{0}};
        ptrdiff_t c = from;
        for (; c + SUMS * LANES <= last; c += SUMS * LANES) {
            FC_UNROLL(4)
            for (int i = 0; i < SUMS; i++) {
                const vec v = load(x + c + i * LANES) - center;
                sums[i] += squared ? (vec)(v * v) : v;
            }
        }
        for (; c + LANES <= last; c += LANES) {
            const vec v = load(x + c) - center;
            sums[0] += squared ? (vec)(v * v) : v;
        }
        real sum = 0;
        for (; c < last; c++) sum += squared ? (x[c] - center) * (x[c] - center) : x[c] - center;
        total += sum + (last - from >= LANES ? lanes_total((sums[0] + sums[1]) + (sums[2] + sums[3])) : 0);
    }
    return total;
}

/* y = ((x - center) * inverse + rest) * gamma + beta */
FC_INLINE void normalize_row(const fc_norm *j, const int far, ptrdiff_t at, real center, real inverse, real rest)
{
    const ptrdiff_t width = j->channels;
    const real *restrict x = (const real *)j->x + at, *restrict gamma = j->gamma, *restrict beta = j->beta;
    real *restrict y = (real *)j->y + at;
#define ROW(weighed, shifted)                                                                                        \
    do {                                                                                                             \
        ptrdiff_t c = 0;                                                                                             \
        for (; c + LANES <= width; c += LANES) {                                                                     \
            vec v = (load(x + c) - center) * inverse + rest;                                                         \
            if (weighed) v *= load(gamma + c);                                                                       \
            if (shifted) v += load(beta + c);                                                                        \
            store_part_far(far, y + c, v, LANES);                                                                    \
        }                                                                                                            \
        for (; c < width; c++) {                                                                                     \
            real v = (x[c] - center) * inverse + rest;                                                               \
            if (weighed) v *= gamma[c];                                                                              \
            y[c] = shifted ? v + beta[c] : v;                                                                        \
        }                                                                                                            \
    } while (0)
    if (gamma && beta)
        ROW(1, 1);
    else if (gamma)
        ROW(1, 0);
    else if (beta)
        ROW(0, 1);
    else
        ROW(0, 0);
#undef ROW
}

/* Asks for a row that comes into play soon. */
FC_INLINE void soon(const real *x, ptrdiff_t width)
{
    for (ptrdiff_t c = 0; c < width; c += 64 / sizeof(real)) __builtin_prefetch(x + c, 0);
}

/* Where mean is NULL, that of the squares stands for the variance. Several rows go through each step together, so that
 * none waits for the division of the one before. */
void FC_NAME(norm_rows_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    enum { TOGETHER = 16 };
    const fc_norm *j = job;
    const ptrdiff_t width = j->channels, last = min_((tile + 1) * j->block, j->rows);
    const double share = 1 / (double)width;
    for (ptrdiff_t first = tile * j->block; first < last; first += TOGETHER) {
        const ptrdiff_t count = min_(last - first, TOGETHER);
        const real *x = (const real *)j->x + first * width;
        double mean[TOGETHER] = {0}, variance[TOGETHER] = {0}, rest[TOGETHER] = {0};
        if (j->mean)
            for (ptrdiff_t r = 0; r < count; r++) {
                const real some = x[r * width];
                mean[r] = some + row_total(x + r * width, width, some, 0) * share;
                rest[r] = mean[r] - (real)mean[r];
            }
        for (ptrdiff_t r = 0; r < count; r++)
            variance[r] = row_total(x + r * width, width, (real)mean[r], 1) * share - rest[r] * rest[r];
        for (ptrdiff_t r = 0; r < TOGETHER; r++)
            variance[r] = 1 / sqrt((variance[r] < 0 ? 0 : variance[r]) + j->epsilon); /* the inverse from here on */
        for (ptrdiff_t r = 0; r < count; r++) {
            const ptrdiff_t row = first + r;
            const real center = (real)mean[r], inverse = (real)variance[r], shift = (real)(-rest[r] * variance[r]);
            if (j->mean) ((real *)j->mean)[row] = center;
            ((real *)j->inverse_std)[row] = inverse;
            if (row + count < last) soon(x + (count + r) * width, width);
            if (j->far)
                normalize_row(j, 1, row * width, center, inverse, shift);
            else
                normalize_row(j, 0, row * width, center, inverse, shift);
        }
    }
    if (j->far) far_done();
}

/* The sums of h = dy * gamma and of h times the normalized x over a row; dgamma and dbeta of the row are added. */
FC_INLINE void add_row(const int weighed, const int gradients, const real *restrict dy, const real *restrict x,
                       const real *restrict gamma, real *restrict dgamma, real *restrict dbeta, ptrdiff_t width,
                       real center, real inverse, double *sum, double *product)
{
    *sum = *product = 0;
    for (ptrdiff_t from = 0; from < width; from += CHUNK) {
        const ptrdiff_t last = min_(from + CHUNK, width);
        vec sums = {0}, products = {0};
        real rest_sum = 0, rest_product = 0;
        ptrdiff_t c = from;
        for (; c + LANES <= last; c += LANES) {
            const vec g = load(dy + c), v = (load(x + c) - center) * inverse;
            const vec h = weighed ? (vec)(g * load(gamma + c)) : g;
            sums += h;
            products += h * v;
            if (gradients) {
                store(dgamma + c, load(dgamma + c) + g * v);
                store(dbeta + c, load(dbeta + c) + g);
            }
        }
        for (; c < last; c++) {
            const real v = (x[c] - center) * inverse, h = weighed ? dy[c] * gamma[c] : dy[c];
            rest_sum += h;
            rest_product += h * v;
            if (gradients) {
                dgamma[c] += dy[c] * v;
                dbeta[c] += dy[c];
            }
        }
        *sum += rest_sum + (last - from >= LANES ? lanes_total(sums) : 0);
        *product += rest_product + (last - from >= LANES ? lanes_total(products) : 0);
    }
}

/* dx = dy * gamma * inverse + (x - center) * slope + offset */
FC_INLINE void gradient_row(const int far, const int weighed, const real *restrict dy, const real *restrict x,
                            const real *restrict gamma, real *restrict dx, ptrdiff_t width, real center, real inverse,
                            real slope, real offset)
{
    ptrdiff_t c = 0;
    for (; c + LANES <= width; c += LANES) {
        const vec g = load(dy + c), h = weighed ? (vec)(g * load(gamma + c)) : g;
        store_part_far(far, dx + c, h * inverse + ((load(x + c) - center) * slope + offset), LANES);
    }
    for (; c < width; c++) {
        const real h = weighed ? dy[c] * gamma[c] : dy[c];
        dx[c] = h * inverse + ((x[c] - center) * slope + offset);
    }
}

/* dx, where y is given, and row `tile` of dgamma and dbeta, which hold one row a tile, where they are. */
void FC_NAME(norm_rows_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_norm *j = job;
    const ptrdiff_t width = j->channels, last = min_((tile + 1) * j->block, j->rows);
    const real *gamma = j->gamma;
    const double share = 1 / (double)width;
    real *dgamma = j->dgamma ? (real *)j->dgamma + tile * width : NULL;
    real *dbeta = j->dbeta ? (real *)j->dbeta + tile * width : NULL;
    if (dgamma) {
        memset(dgamma, 0, width * sizeof(real));
        memset(dbeta, 0, width * sizeof(real));
    }
    for (ptrdiff_t row = tile * j->block; row < last; row++) {
        const real *dy = (const real *)j->dy + row * width, *x = (const real *)j->x + row * width;
        const real center = j->mean ? ((const real *)j->mean)[row] : 0, inverse = ((const real *)j->inverse_std)[row];
        double sum, product;
#define ADD(weighed, gradients)                                                                                      \
    add_row(weighed, gradients, dy, x, gamma, dgamma, dbeta, width, center, inverse, &sum, &product)
        if (gamma && dgamma)
            ADD(1, 1);
        else if (gamma)
            ADD(1, 0);
        else if (dgamma)
            ADD(0, 1);
        else
            ADD(0, 0);
#undef ADD
        if (!j->y) continue;
        const real slope = (real)(-(double)inverse * inverse * (product * share));
        const real offset = j->mean ? (real)(-(double)inverse * (sum * share)) : 0;
        real *dx = (real *)j->y + row * width;
#define GRADIENT(far, weighed) gradient_row(far, weighed, dy, x, gamma, dx, width, center, inverse, slope, offset)
        if (j->far && gamma)
            GRADIENT(1, 1);
        else if (j->far)
            GRADIENT(1, 0);
        else if (gamma)
            GRADIENT(0, 1);
        else
            GRADIENT(0, 0);
#undef GRADIENT
    }
    if (j->far) far_done();
}
