/* shuffle.h: lanes of two vectors picked by constant numbers: what transposing and narrowing are made of.
 *
 * GCC and Clang spell it differently, and a list of numbers depends on how many lanes there are.
 */
#ifndef FC_SHUFFLE_H
#define FC_SHUFFLE_H

#include "vector.h"

/* F(i, n, d) for each lane i of n. */
#define FC_EACH_2(F, d) F(0, 2, d), F(1, 2, d)
#define FC_EACH_4(F, d) F(0, 4, d), F(1, 4, d), F(2, 4, d), F(3, 4, d)
#define FC_EACH_8(F, d) F(0, 8, d), F(1, 8, d), F(2, 8, d), F(3, 8, d), F(4, 8, d), F(5, 8, d), F(6, 8, d), F(7, 8, d)
#define FC_EACH_16(F, d)                                                                                    \
    F(0, 16, d), F(1, 16, d), F(2, 16, d), F(3, 16, d), F(4, 16, d), F(5, 16, d), F(6, 16, d), F(7, 16, d), \
        F(8, 16, d), F(9, 16, d), F(10, 16, d), F(11, 16, d), F(12, 16, d), F(13, 16, d), F(14, 16, d), F(15, 16, d)

/* By bytes of a lane: all lanes of a vector. */
#if FC_BYTES == 16
#define FC_EACH_OF_4(F, d) FC_EACH_4(F, d)
#define FC_EACH_OF_8(F, d) FC_EACH_2(F, d)
#elif FC_BYTES == 32
#define FC_EACH_OF_4(F, d) FC_EACH_8(F, d)
#define FC_EACH_OF_8(F, d) FC_EACH_4(F, d)
#else
#define FC_EACH_OF_4(F, d) FC_EACH_16(F, d)
#define FC_EACH_OF_8(F, d) FC_EACH_8(F, d)
#endif
#if FC_DOUBLE
#define FC_EACH_LANE FC_EACH_OF_8
#else
#define FC_EACH_LANE FC_EACH_OF_4
#endif

/* The lanes of a and, from the number of lanes on, of b that the list names; `index` is a vector of integers as wide. */
#ifdef __clang__
#define FC_PICK(index, a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define FC_PICK(index, a, b, ...) __builtin_shuffle(a, b, (index){__VA_ARGS__})
#endif

/* Transposes LANES vectors in registers: step d exchanges the lanes whose number has bit d of one vector with those
 * whose number has it not of the vector d further on. */
#define FC_LOW(i, n, d) ((i) & (d) ? (n) + (i) - (d) : (i))
#define FC_HIGH(i, n, d) ((i) & (d) ? (n) + (i) : (i) + (d))
#define FC_EXCHANGE(d)                                                                          \
    if ((d) < LANES) {                                                                          \
        FC_UNROLL(16)                                                                           \
        for (int k = 0; k < LANES; k++)                                                         \
            if (!(k & (d))) {                                                                   \
                const vec a = v[k], b = v[(k + (d)) % LANES];                                   \
                v[k] = FC_PICK(ivec, a, b, FC_EACH_LANE(FC_LOW, (d) % LANES));                  \
                v[(k + (d)) % LANES] = FC_PICK(ivec, a, b, FC_EACH_LANE(FC_HIGH, (d) % LANES)); \
            }                                                                                   \
    }
FC_INLINE void transpose_vectors(vec v[LANES])
{
    FC_EXCHANGE(8) FC_EXCHANGE(4) FC_EXCHANGE(2) FC_EXCHANGE(1) /* so: the first vectors alone take fewer */
}

#endif
