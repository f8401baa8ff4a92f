/* bytes.h: vectors of small numbers as bytes and back: the indices of max-pooling's winners.
 */
#ifndef FC_BYTES_H
#define FC_BYTES_H

#include "vector.h"

#include <string.h>

/* Vectors of channels that are worked on side by side; two of AVX-512's hold the usual 32 filters. */
enum { WIDE = FC_BYTES == 64 ? 2 : 4 };

/* The first `lanes` of a vector of numbers below 256 as bytes. Compilers pick the lanes out one by one on AVX2. */
typedef uint8_t bytes_vec __attribute__((vector_size(FC_BYTES)));
typedef uint8_t index_vec __attribute__((vector_size(LANES), aligned(1), may_alias));
FC_INLINE void store_bytes(uint8_t *to, ivec v, ptrdiff_t lanes)
{
#if FC_BYTES == 32 && (defined(__clang__) || __GNUC__ >= 12)
    const bytes_vec b = (bytes_vec)v;
#if FC_DOUBLE
    const bytes_vec narrow =
        __builtin_shufflevector(b, b, 0, 8, 16, 24, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1); /* clang-format: one row */
#else
    const bytes_vec narrow = __builtin_shufflevector(b, b, 0, 4, 8, 12, 16, 20, 24, 28, -1, -1, -1, -1, -1, -1, -1, -1,
                                                     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
#endif
#else
    const index_vec narrow = __builtin_convertvector(v, index_vec);
#endif
    if (lanes == LANES) /* a copy of constant size is one instruction */
        memcpy(to, &narrow, LANES);
    else
        memcpy(to, &narrow, lanes);
}

/* WIDE vectors of numbers below 256 as bytes; 0 where the compiler's own conversion serves: it narrows each vector by
 * itself, in more steps where the instruction set cannot truncate. (No intrinsics: their header declares a select.) */
FC_INLINE int pack_bytes(uint8_t *bytes, const ivec *numbers)
{
#if !FC_DOUBLE && FC_BYTES == 32 && defined(__AVX2__)
    typedef int8_t chars __attribute__((vector_size(32), aligned(1), may_alias));
    typedef int16_t shorts __attribute__((vector_size(32)));
    typedef int ints __attribute__((vector_size(32)));
    const shorts low = __builtin_ia32_packssdw256((ints)numbers[0], (ints)numbers[1]);
    const shorts high = __builtin_ia32_packssdw256((ints)numbers[2], (ints)numbers[3]);
    const ints order = {0, 4, 1, 5, 2, 6, 3, 7}; /* packing works on halves */
    *(chars *)bytes = (chars)__builtin_ia32_permvarsi256((ints)__builtin_ia32_packuswb256(low, high), order);
    return 1;
#elif !FC_DOUBLE && FC_BYTES == 16 && defined(__SSE2__)
    typedef int8_t chars __attribute__((vector_size(16), aligned(1), may_alias));
    typedef int16_t shorts __attribute__((vector_size(16)));
    typedef int ints __attribute__((vector_size(16)));
    const shorts low = __builtin_ia32_packssdw128((ints)numbers[0], (ints)numbers[1]);
    const shorts high = __builtin_ia32_packssdw128((ints)numbers[2], (ints)numbers[3]);
    *(chars *)bytes = (chars)__builtin_ia32_packuswb128(low, high);
    return 1;
#else
    (void)bytes, (void)numbers;
    return 0;
#endif
}

/* A vector of bytes as numbers; GCC converts them one by one where they fill no register. */
FC_INLINE ivec unpack_bytes(const uint8_t *bytes)
{
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
    typedef char chars __attribute__((vector_size(16), aligned(1), may_alias));
#if FC_DOUBLE
    typedef int64_t word __attribute__((aligned(1), may_alias));
    typedef long long words __attribute__((vector_size(16)));
    typedef long long wide __attribute__((vector_size(64)));
    return (ivec)__builtin_ia32_pmovzxbq512_mask((chars)(words){*(const word *)bytes}, (wide){0}, -1);
#else
    typedef int wide __attribute__((vector_size(64)));
    return (ivec)__builtin_ia32_pmovzxbd512_mask(*(const chars *)bytes, (wide){0}, -1);
#endif
#elif FC_BYTES == 32 && defined(__AVX2__) && !defined(__clang__)
    typedef char chars __attribute__((vector_size(16)));
#if FC_DOUBLE
    typedef int32_t word __attribute__((aligned(1), may_alias));
    return (ivec)__builtin_ia32_pmovzxbq256((chars)(int __attribute__((vector_size(16)))){*(const word *)bytes});
#else
    typedef int64_t word __attribute__((aligned(1), may_alias));
    return (ivec)__builtin_ia32_pmovzxbd256((chars)(long long __attribute__((vector_size(16)))){*(const word *)bytes});
#endif
#elif FC_BYTES == 16 && defined(__SSE2__) && !FC_DOUBLE && !defined(__clang__)
    typedef int32_t word __attribute__((aligned(1), may_alias));
    typedef char chars __attribute__((vector_size(16)));
    typedef short shorts __attribute__((vector_size(16)));
    const chars low = (chars)(int __attribute__((vector_size(16)))){*(const word *)bytes};
    return (ivec)__builtin_ia32_punpcklwd128((shorts)__builtin_ia32_punpcklbw128(low, (chars){0}), (shorts){0});
#else
    typedef uint8_t byte_vec __attribute__((vector_size(LANES), aligned(1), may_alias));
    return __builtin_convertvector(*(const byte_vec *)bytes, ivec);
#endif
}

#endif
