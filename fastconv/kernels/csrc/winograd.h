/* winograd.h: the transforms of Winograd's minimal filtering F(m, r), by axis: m outputs of r taps from m + r - 1 products.
 *
 * Y = A' [(G g) . (B' d)] along every axis, for inputs d, taps g and outputs Y (Lavin and Gray, "Fast algorithms for
 * convolutional neural networks", 2016). The matrices follow from interpolation at the points that each table names,
 * and at infinity (Toom and Cook); tests/test_kernels_winograd.py derives them again. Stored are B' (points, points),
 * G (points, r) and A (points, m), row by row. The tables are constants to the compiler: zeros vanish from the code.
 */
#ifndef FC_WINOGRAD_H
#define FC_WINOGRAD_H

#include "vector.h"

enum { ONE, F23, F43, F25, F45, FILTERS }; /* FMR is F(M, R); ONE: an axis of one tap, left alone */
enum { MAX_POINTS = 144 };                 /* of a tile: 4 x 6 x 6 */

static const int OUTPUTS[FILTERS] = {1, 2, 4, 2, 4}, TAPS[FILTERS] = {1, 3, 3, 5, 5}, POINTS[FILTERS] = {1, 4, 6, 6, 8};
/* Rows 1 and 2, 3 and 4, ... of so many pairs of B' and A belong to points a and -a: they are the sum and difference of
 * their even and odd columns' parts. */
static const int PAIRS_B[FILTERS] = {0, 1, 0, 0, 3}, PAIRS_A[FILTERS] = {0, 1, 1, 1, 3};

static const real MATRIX_B[FILTERS][64] = {
    [ONE] = {1},
    [F23] = {-1, 0, 1, 0,  0, 1, 1, 0,  0, -1, 1, 0,  0, -1, 0, 1}, /* 0, 1, -1 */
    [F43] = {1, -1.5, -2, 1.5, 1, 0,  0, -1, .5, 2.5, 1, 0,  0, 1, -2.5, .5, 1, 0,
             0, -2, -1, 2, 1, 0,  0, .5, -1, -.5, 1, 0,  0, 1, -1.5, -2, 1.5, 1}, /* 0, 1, -1, 1/2, -2 */
    [F25] = {1, -1.5, -2, 1.5, 1, 0,  0, -1, .5, 2.5, 1, 0,  0, 1, -2.5, .5, 1, 0,
             0, -2, -1, 2, 1, 0,  0, .5, -1, -.5, 1, 0,  0, 1, -1.5, -2, 1.5, 1}, /* the same */
    [F45] = {-1, 0, 5.25, 0, -5.25, 0, 1, 0,       0, 1, 1, -4.25, -4.25, 1, 1, 0,
             0, -1, 1, 4.25, -4.25, -1, 1, 0,      0, .5, .25, -2.5, -1.25, 2, 1, 0,
             0, -.5, .25, 2.5, -1.25, -2, 1, 0,    0, 2, 4, -2.5, -5, .5, 1, 0,
             0, -2, 4, 2.5, -5, -.5, 1, 0,         0, -1, 0, 5.25, 0, -5.25, 0, 1}, /* 0, +-1, +-2, +-1/2 */
};
static const real MATRIX_G[FILTERS][40] = {
    [ONE] = {1},
    [F23] = {-1, 0, 0,  .5, .5, .5,  .5, -.5, .5,  0, 0, 1},
    [F43] = {1, 0, 0,  1. / 3, 1. / 3, 1. / 3,  -1. / 3, 1. / 3, -1. / 3,  -16. / 15, -8. / 15, -4. / 15,
             1. / 15, -2. / 15, 4. / 15,  0, 0, 1},
    [F25] = {1, 0, 0, 0, 0,  1. / 3, 1. / 3, 1. / 3, 1. / 3, 1. / 3,  -1. / 3, 1. / 3, -1. / 3, 1. / 3, -1. / 3,
             -16. / 15, -8. / 15, -4. / 15, -2. / 15, -1. / 15,  1. / 15, -2. / 15, 4. / 15, -8. / 15, 16. / 15,
             0, 0, 0, 0, 1},
    [F45] = {-1, 0, 0, 0, 0,  -2. / 9, -2. / 9, -2. / 9, -2. / 9, -2. / 9,  -2. / 9, 2. / 9, -2. / 9, 2. / 9, -2. / 9,
             1. / 90, 1. / 45, 2. / 45, 4. / 45, 8. / 45,  1. / 90, -1. / 45, 2. / 45, -4. / 45, 8. / 45,
             32. / 45, 16. / 45, 8. / 45, 4. / 45, 2. / 45,  32. / 45, -16. / 45, 8. / 45, -4. / 45, 2. / 45,
             0, 0, 0, 0, 1},
};
static const real MATRIX_A[FILTERS][32] = {
    [ONE] = {1},
    [F23] = {1, 0,  1, 1,  1, -1,  0, 1},
    [F43] = {1, 0, 0, 0,  1, 1, 1, 1,  1, -1, 1, -1,  1, .5, .25, .125,  1, -2, 4, -8,  0, 0, 0, 1},
    [F25] = {1, 0,  1, 1,  1, -1,  1, .5,  1, -2,  0, 1},
    [F45] = {1, 0, 0, 0,  1, 1, 1, 1,  1, -1, 1, -1,  1, 2, 4, 8,  1, -2, 4, -8,  1, .5, .25, .125,
             1, -.5, .25, -.125,  0, 0, 0, 1},
};

/* sum += m * x, for a constant m; `empty` until something was added. */
FC_INLINE void add_multiple(vec *sum, int *empty, const real m, vec x)
{
    if (m == 0) return;
    if (*empty) {
        *sum = x;
        if (m == -1) *sum = -x;
        if (m != 1 && m != -1) *sum = m * x;
    } else if (m == 1) {
        *sum += x;
    } else if (m == -1) {
        *sum -= x;
    } else {
        *sum += m * x;
    }
    *empty = 0;
}

/* y (rows) = M (rows, columns) x (columns) */
FC_INLINE void multiply(const real *M, const int rows, const int columns, const int pairs, const vec *x,
                        const ptrdiff_t x_step, vec *y, const ptrdiff_t y_step)
{
    FC_UNROLL(8)
    for (int i = 0; i < rows; i++) {
        vec even = {0}, odd = {0};
        int no_even = 1, no_odd = 1;
        const int paired = i > 0 && i <= 2 * pairs;
        if (paired && i % 2 == 0) continue;
        FC_UNROLL(8)
        for (int j = 0; j < columns; j++) {
            if (paired && j % 2)
                add_multiple(&odd, &no_odd, M[i * columns + j], x[j * x_step]);
            else
                add_multiple(&even, &no_even, M[i * columns + j], x[j * x_step]);
        }
        if (paired) {
            y[i * y_step] = even + odd;
            y[(i + 1) * y_step] = even - odd;
        } else {
            y[i * y_step] = even;
        }
    }
}

/* y (columns) = M' x (rows) */
FC_INLINE void multiply_transposed(const real *M, const int rows, const int columns, const int pairs, const vec *x,
                                   const ptrdiff_t x_step, vec *y, const ptrdiff_t y_step)
{
    vec sum[4], difference[4];
    FC_UNROLL(4)
    for (int p = 0; p < pairs; p++) {
        sum[p] = x[(2 * p + 1) * x_step] + x[(2 * p + 2) * x_step];
        difference[p] = x[(2 * p + 1) * x_step] - x[(2 * p + 2) * x_step];
    }
    FC_UNROLL(8)
    for (int j = 0; j < columns; j++) {
        vec total = {0};
        int empty = 1;
        FC_UNROLL(8)
        for (int i = 0; i < rows; i++) {
            const int paired = i > 0 && i <= 2 * pairs;
            if (paired && i % 2 == 0) continue;
            add_multiple(&total, &empty, M[i * columns + j], !paired ? x[i * x_step] : j % 2 ? difference[i / 2] : sum[i / 2]);
        }
        y[j * y_step] = total;
    }
}

/* The five transforms: of inputs B' d, of a kernel G g, of products A' M, and for the kernel's gradient A dY and G' S. */
enum transform { INPUT, KERNEL, OUTPUT, OUTPUT_BACK, KERNEL_BACK };
FC_INLINE int size_before(const enum transform t, const int f)
{
    return t == KERNEL ? TAPS[f] : t == OUTPUT_BACK ? OUTPUTS[f] : POINTS[f];
}
FC_INLINE int size_after(const enum transform t, const int f)
{
    return t == OUTPUT ? OUTPUTS[f] : t == KERNEL_BACK ? TAPS[f] : POINTS[f];
}
FC_INLINE void transform_axis(const enum transform t, const int f, const vec *x, const ptrdiff_t x_step, vec *y,
                              const ptrdiff_t y_step)
{
    switch (t) {
    case INPUT: multiply(MATRIX_B[f], POINTS[f], POINTS[f], PAIRS_B[f], x, x_step, y, y_step); break;
    case KERNEL: multiply(MATRIX_G[f], POINTS[f], TAPS[f], 0, x, x_step, y, y_step); break;
    case OUTPUT: multiply_transposed(MATRIX_A[f], POINTS[f], OUTPUTS[f], PAIRS_A[f], x, x_step, y, y_step); break;
    case OUTPUT_BACK: multiply(MATRIX_A[f], POINTS[f], OUTPUTS[f], PAIRS_A[f], x, x_step, y, y_step); break;
    case KERNEL_BACK: multiply_transposed(MATRIX_G[f], POINTS[f], TAPS[f], 0, x, x_step, y, y_step); break;
    }
}

/* The transform of the box (depth, height, width) in `a`, along each axis by its own filter. Returns where the result
 * is: in `a` or in `b`, which both have room for every step. */
FC_INLINE const vec *transform_box(const enum transform t, const int fd, const int fh, const int fw, vec *a, vec *b)
{
    const int d0 = size_before(t, fd), h0 = size_before(t, fh);
    const int h1 = size_after(t, fh), w0 = size_before(t, fw), w1 = size_after(t, fw);
    vec *from = a, *to = b;
    for (int i = 0; i < d0 * h0; i++) transform_axis(t, fw, from + i * w0, 1, to + i * w1, 1);
    if (fh != ONE) {
        from = b, to = a;
        for (int d = 0; d < d0; d++)
            for (int w = 0; w < w1; w++) transform_axis(t, fh, from + d * h0 * w1 + w, w1, to + d * h1 * w1 + w, w1);
    }
    if (fd != ONE) {
        from = to, to = from == a ? b : a;
        for (int i = 0; i < h1 * w1; i++) transform_axis(t, fd, from + i, h1 * w1, to + i, h1 * w1);
    }
    return to;
}

/* Every combination that is compiled, one a filter an axis: WINOGRAD(X) makes X(depth, height, width) of each. */
#define FC_WINOGRAD(X)                                                                                               \
    X(ONE, ONE, F43) X(ONE, ONE, F45) X(ONE, F23, F23) X(ONE, F43, F43) X(ONE, F25, F25) X(ONE, F45, F45)            \
    X(F23, F23, F23) X(F23, F43, F43)

#endif
