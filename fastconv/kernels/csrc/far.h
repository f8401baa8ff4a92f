/* far.h: stores past the caches, for outputs that are too large to stay in them: the lines that they cover need not be
 * read first. Only whole lines gain: 64 bytes at an address that is a multiple of 64, written at one go.
 */
#ifndef FC_FAR_H
#define FC_FAR_H

#include "vector.h"

/* `p` is aligned to a vector. */
FC_INLINE void store_far(real *p, vec v)
{
    typedef real aligned_vec __attribute__((vector_size(FC_BYTES), may_alias));
#if defined(__clang__)
    __builtin_nontemporal_store((aligned_vec)v, (aligned_vec *)p);
#elif FC_BYTES == 64 && defined(__AVX512F__) && FC_DOUBLE
    __builtin_ia32_movntpd512(p, (aligned_vec)v);
#elif FC_BYTES == 64 && defined(__AVX512F__)
    __builtin_ia32_movntps512(p, (aligned_vec)v);
#elif FC_BYTES == 32 && defined(__AVX__) && FC_DOUBLE
    __builtin_ia32_movntpd256(p, (aligned_vec)v);
#elif FC_BYTES == 32 && defined(__AVX__)
    __builtin_ia32_movntps256(p, (aligned_vec)v);
#elif FC_BYTES == 16 && defined(__SSE2__) && FC_DOUBLE
    __builtin_ia32_movntpd(p, (aligned_vec)v);
#elif FC_BYTES == 16 && defined(__SSE2__)
    __builtin_ia32_movntps(p, (aligned_vec)v);
#else
    *(aligned_vec *)p = v;
#endif
}

FC_INLINE void store_part_far(const int far, real *p, vec v, ptrdiff_t lanes)
{
    if (far)
        store_far(p, v);
    else
        store_part(p, v, lanes);
}

/* The elements before the next whole line of `y`, `count` at most. */
FC_INLINE ptrdiff_t before_line(const real *y, ptrdiff_t count)
{
    return min_(-(uintptr_t)y % 64 / sizeof(real), count);
}

/* Whole vectors that were computed in the cache. */
FC_INLINE void store_all_far(real *to, const real *from, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i += LANES) store_far(to + i, load(from + i));
}

/* At the end of a tile with such stores: other threads may read from now on. */
FC_INLINE void far_done(void)
{
#if defined(__SSE2__)
    __builtin_ia32_sfence();
#endif
}

#endif
