/* winograd.h: the transforms of Winograd's minimal filtering F(m, r), by axis: m outputs of r taps from m + r - 1 products.
 *
 * Y = A' [(G g) . (B' d)] along every axis, for inputs d, taps g and outputs Y (Lavin and Gray, "Fast algorithms for
 * convolutional neural networks", 2016). The matrices follow from interpolation at the points that each table names,
 * and at infinity (Toom and Cook); a longer kernel is cut into pieces of r = m taps, each of which reads the transformed
 * input of the tile after its predecessor's. tests/test_kernels_winograd.py derives them again. Stored are B' (points, points),
 * G (points, r) and A (points, m), row by row. The tables are constants to the compiler: zeros vanish from the code.
 */
#ifndef FC_WINOGRAD_H
#define FC_WINOGRAD_H

#include "vector.h"

enum { ONE, F23, F43, F25, F45, F52, F44, FILTERS }; /* FMR is F(M, R); ONE: an axis of one tap, left alone */
enum { MAX_POINTS = 216 };                           /* of a tile: 6 x 6 x 6 */

static const int OUTPUTS[FILTERS] = {1, 2, 4, 2, 4, 5, 4}, TAPS[FILTERS] = {1, 3, 3, 5, 5, 2, 4};
static const int POINTS[FILTERS] = {1, 4, 6, 6, 8, 6, 7};
/* Rows 1 and 2, 3 and 4, ... of every matrix, so many pairs, belong to points a and -a: they are the sum and difference
 * of their even and odd columns' parts. An odd number of points has none: the one without its negative is in all rows. */
static const int PAIRS[FILTERS] = {0, 1, 2, 2, 3, 2, 0};

/* clang-format off */
static const real MATRIX_B[FILTERS][64] = {
    [ONE] = {1},
    [F23] = {-1, 0, 1, 0,  0, 1, 1, 0,  0, -1, 1, 0,  0, -1, 0, 1}, /* 0, +-1 */
    [F43] = {1, 0, -97. / 36, 0, 1, 0,  0, -3. / 2, -9. / 4, 2. / 3, 1, 0,  0, 3. / 2, -9. / 4, -2. / 3, 1, 0,
             0, -2. / 3, -4. / 9, 3. / 2, 1, 0,  0, 2. / 3, -4. / 9, -3. / 2, 1, 0,
             0, 1, 0, -97. / 36, 0, 1}, /* 0, +-2/3, +-3/2 */
    [F25] = {1, 0, -97. / 36, 0, 1, 0,  0, -3. / 2, -9. / 4, 2. / 3, 1, 0,  0, 3. / 2, -9. / 4, -2. / 3, 1, 0,
             0, -2. / 3, -4. / 9, 3. / 2, 1, 0,  0, 2. / 3, -4. / 9, -3. / 2, 1, 0,
             0, 1, 0, -97. / 36, 0, 1}, /* the same */
    [F52] = {1, 0, -97. / 36, 0, 1, 0,  0, -3. / 2, -9. / 4, 2. / 3, 1, 0,  0, 3. / 2, -9. / 4, -2. / 3, 1, 0,
             0, -2. / 3, -4. / 9, 3. / 2, 1, 0,  0, 2. / 3, -4. / 9, -3. / 2, 1, 0,
             0, 1, 0, -97. / 36, 0, 1}, /* the same */
    [F45] = {-1, 0, 5.25, 0, -5.25, 0, 1, 0,       0, 1, 1, -4.25, -4.25, 1, 1, 0,
             0, -1, 1, 4.25, -4.25, -1, 1, 0,      0, .5, .25, -2.5, -1.25, 2, 1, 0,
             0, -.5, .25, 2.5, -1.25, -2, 1, 0,    0, 2, 4, -2.5, -5, .5, 1, 0,
             0, -2, 4, 2.5, -5, -.5, 1, 0,         0, -1, 0, 5.25, 0, -5.25, 0, 1}, /* 0, +-1, +-2, +-1/2 */
    [F44] = {-2, 4, 2.5, -5, -.5, 1, 0,    0, 2, -2, -4.5, .5, 1, 0,
             0, -2, 6, -3.5, -1.5, 1, 0,   0, 1, -1.5, -2, 1.5, 1, 0,
             0, -1, 2.5, 0, -2.5, 1, 0,    0, 4, 0, -5, 0, 1, 0,
             0, -2, 4, 2.5, -5, -.5, 1}, /* 0, +-1, +-2, 1/2 */
};
static const real MATRIX_G[FILTERS][40] = {
    [ONE] = {1},
    [F23] = {-1, 0, 0,  .5, .5, .5,  .5, -.5, .5,  0, 0, 1},
    [F43] = {1, 0, 0,  -81. / 130, -27. / 65, -18. / 65,  -81. / 130, 27. / 65, -18. / 65,
             8. / 65, 12. / 65, 18. / 65,  8. / 65, -12. / 65, 18. / 65,  0, 0, 1},
    [F25] = {1, 0, 0, 0, 0,  -81. / 130, -27. / 65, -18. / 65, -12. / 65, -8. / 65,
             -81. / 130, 27. / 65, -18. / 65, 12. / 65, -8. / 65,
             8. / 65, 12. / 65, 18. / 65, 27. / 65, 81. / 130,
             8. / 65, -12. / 65, 18. / 65, -27. / 65, 81. / 130,  0, 0, 0, 0, 1},
    [F45] = {-1, 0, 0, 0, 0,  -2. / 9, -2. / 9, -2. / 9, -2. / 9, -2. / 9,  -2. / 9, 2. / 9, -2. / 9, 2. / 9, -2. / 9,
             1. / 90, 1. / 45, 2. / 45, 4. / 45, 8. / 45,  1. / 90, -1. / 45, 2. / 45, -4. / 45, 8. / 45,
             32. / 45, 16. / 45, 8. / 45, 4. / 45, 2. / 45,  32. / 45, -16. / 45, 8. / 45, -4. / 45, 2. / 45,
             0, 0, 0, 0, 1},
    [F52] = {1, 0,  -81. / 130, -27. / 65,  -81. / 130, 27. / 65,  8. / 65, 12. / 65,  8. / 65, -12. / 65,  0, 1},
    [F44] = {-.5, 0, 0, 0,  -1. / 3, -1. / 3, -1. / 3, -1. / 3,
             1. / 9, -1. / 9, 1. / 9, -1. / 9,  1. / 36, 1. / 18, 1. / 9, 2. / 9,
             -1. / 60, 1. / 30, -1. / 15, 2. / 15,  32. / 45, 16. / 45, 8. / 45, 4. / 45,  0, 0, 0, 1},
};
static const real MATRIX_A[FILTERS][32] = {
    [ONE] = {1},
    [F23] = {1, 0,  1, 1,  1, -1,  0, 1},
    [F43] = {1, 0, 0, 0,  1, 2. / 3, 4. / 9, 8. / 27,  1, -2. / 3, 4. / 9, -8. / 27,
             1, 3. / 2, 9. / 4, 27. / 8,  1, -3. / 2, 9. / 4, -27. / 8,  0, 0, 0, 1},
    [F25] = {1, 0,  1, 2. / 3,  1, -2. / 3,  1, 3. / 2,  1, -3. / 2,  0, 1},
    [F45] = {1, 0, 0, 0,  1, 1, 1, 1,  1, -1, 1, -1,  1, 2, 4, 8,  1, -2, 4, -8,  1, .5, .25, .125,
             1, -.5, .25, -.125,  0, 0, 0, 1},
    [F52] = {1, 0, 0, 0, 0,  1, 2. / 3, 4. / 9, 8. / 27, 16. / 81,  1, -2. / 3, 4. / 9, -8. / 27, 16. / 81,
             1, 3. / 2, 9. / 4, 27. / 8, 81. / 16,  1, -3. / 2, 9. / 4, -27. / 8, 81. / 16,  0, 0, 0, 0, 1},
    [F44] = {1, 0, 0, 0,  1, 1, 1, 1,  1, -1, 1, -1,  1, 2, 4, 8,
             1, -2, 4, -8,  1, .5, .25, .125,  0, 0, 0, 1},
};
/* clang-format on */

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
    case INPUT: multiply(MATRIX_B[f], POINTS[f], POINTS[f], PAIRS[f], x, x_step, y, y_step); break;
    case KERNEL: multiply(MATRIX_G[f], POINTS[f], TAPS[f], PAIRS[f], x, x_step, y, y_step); break;
    case OUTPUT: multiply_transposed(MATRIX_A[f], POINTS[f], OUTPUTS[f], PAIRS[f], x, x_step, y, y_step); break;
    case OUTPUT_BACK: multiply(MATRIX_A[f], POINTS[f], OUTPUTS[f], PAIRS[f], x, x_step, y, y_step); break;
    case KERNEL_BACK: multiply_transposed(MATRIX_G[f], POINTS[f], TAPS[f], PAIRS[f], x, x_step, y, y_step); break;
    }
}

/* A box of vectors in memory: where its first is, and the elements to the next along depth, height and width. */
typedef struct {
    real *at;
    ptrdiff_t step[3];
} box;

FC_INLINE box dense_box(vec *at, const int height, const int width)
{
    return (box){(real *)at, {height * width * LANES, width * LANES, LANES}};
}

/* `lines` = outer x inner lines along `axis`, from one box to another. */
FC_INLINE void transform_lines(const enum transform t, const int f, const int axis, const int outer_axis,
                               const int outer, const int inner_axis, const int inner, const box x, const box y,
                               const vec start)
{
    for (int o = 0; o < outer; o++)
        for (int i = 0; i < inner; i++) {
            const real *from = x.at + o * x.step[outer_axis] + i * x.step[inner_axis];
            real *to = y.at + o * y.step[outer_axis] + i * y.step[inner_axis];
            vec a[8], b[8];
            FC_UNROLL(8)
            for (int k = 0; k < size_before(t, f); k++) a[k] = load(from + k * x.step[axis]);
            transform_axis(t, f, a, 1, b, 1);
            FC_UNROLL(8)
            for (int k = 0; k < size_after(t, f); k++) {
                if (t == OUTPUT) b[k] += start;
                store(to + k * y.step[axis], b[k]);
            }
        }
}

/* The transform of box x into box y, along the width, the height and the depth; to outputs `start` is added. What is
 * between two axes stays in the first cache. */
FC_INLINE void transform_boxes(const enum transform t, const int fd, const int fh, const int fw, const box x,
                               const box y, const vec start)
{
    const int d0 = size_before(t, fd), h0 = size_before(t, fh), h1 = size_after(t, fh), w1 = size_after(t, fw);
    const vec zero = {0};
    if (fh == ONE && fd == ONE) {
        transform_lines(t, fw, 2, 0, 1, 1, 1, x, y, start);
        return;
    }
    vec a[MAX_POINTS], b[MAX_POINTS];
    const box xw = dense_box(a, h0, w1), xwh = dense_box(b, h1, w1);
    transform_lines(t, fw, 2, 0, d0, 1, h0, x, xw, zero);
    if (fd == ONE) {
        transform_lines(t, fh, 1, 0, 1, 2, w1, xw, y, start);
        return;
    }
    transform_lines(t, fh, 1, 0, d0, 2, w1, xw, xwh, zero);
    transform_lines(t, fd, 0, 1, h1, 2, w1, xwh, y, start);
}

/* The same from `a`, where the box lies vector by vector, to `b`. */
FC_INLINE const vec *transform_box(const enum transform t, const int fd, const int fh, const int fw, vec *a, vec *b)
{
    const box x = dense_box(a, size_before(t, fh), size_before(t, fw));
    transform_boxes(t, fd, fh, fw, x, dense_box(b, size_after(t, fh), size_after(t, fw)), (vec){0});
    return b;
}

/* Every combination that is compiled, one a filter an axis: WINOGRAD(X) makes X(depth, height, width) of each. */
#define FC_WINOGRAD(X)                                                                                               \
    X(ONE, ONE, F52) X(ONE, ONE, F43) X(ONE, ONE, F44) X(ONE, ONE, F45) X(ONE, F23, F23) X(ONE, F43, F43)             \
    X(ONE, F25, F25) X(ONE, F45, F45) X(F23, F23, F23) X(F23, F43, F43) X(F43, F43, F43)

#endif
