/* products.c: matrix products in register tiles, out = a b, for kernels that lay out their own factors: Winograd's points,
 * the taps of conv_stream.c. Not here: dense layers (dense/), and convolution that reads x in place (conv_forward.c).
 */
#include "vector.h"

FC_INLINE void product_tile(const ptrdiff_t rows, const ptrdiff_t vectors, const fc_factors *f, const real *restrict a,
                            const real *restrict b, real *restrict out, const ptrdiff_t out_row)
{
    const ptrdiff_t a_row = f->a_row, b_row = f->b_row, next_row = f->next_row;
    const real *next_0 = f->next[0], *next_1 = f->next[1];
    vec acc[BLOCK][VECTORS];
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < rows; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] = f->add ? load(out + m * out_row + v * LANES) : (vec){0};
    for (ptrdiff_t c = 0; c < f->depth; c++, b += b_row, next_0 += next_row, next_1 += next_row) {
        __builtin_prefetch(next_0, 0, 2);
        __builtin_prefetch(next_1, 0, 2);
        vec b_c[VECTORS];
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) b_c[v] = load(b + v * LANES);
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < rows; m++) {
            const real a_mc = a[m * a_row + c];
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += a_mc * b_c[v];
        }
    }
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < rows; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) store(out + m * out_row + v * LANES, acc[m][v]);
}

typedef void tile_function(const fc_factors *, const real *, const real *, real *, ptrdiff_t);
#define TILE(rows, vectors)                                                                                          \
    static void tile_##rows##x##vectors(const fc_factors *f, const real *a, const real *b, real *out,                 \
                                        ptrdiff_t out_row)                                                           \
    {                                                                                                                \
        product_tile(rows, vectors, f, a, b, out, out_row);                                                          \
    }
#include "tile_table.h"

void FC_NAME(product_block)(const fc_factors *f, ptrdiff_t rows, ptrdiff_t vectors, const real *a, const real *b,
                            real *out, ptrdiff_t out_row)
{
    tile_functions[rows - 1][vectors - 1](f, a, b, out, out_row);
}
