/* extremum.h: the greater and the smaller of two vectors, lane by lane; NaN wins, and of equals, such as 0 and -0, b does. */
#ifndef FC_EXTREMUM_H
#define FC_EXTREMUM_H

#include "vector.h"

#include <math.h>

/* The instructions for a maximum give b where one of the two is NaN: only a's must be kept. */
#if defined(__AVX512F__) && FC_BYTES == 64 && !defined(__clang__)
enum { ORDERED = 7, CURRENT_ROUNDING = 4 };
typedef real number_vec __attribute__((vector_size(64)));
#if FC_DOUBLE
#define REAL_LANES(v) ((unsigned char)__builtin_ia32_cmppd512_mask(v, v, ORDERED, -1, CURRENT_ROUNDING))
#define EXTREMUM(which, a, b, lanes) __builtin_ia32_##which##pd512_mask(a, b, a, lanes, CURRENT_ROUNDING)
#else
#define REAL_LANES(v) ((unsigned short)__builtin_ia32_cmpps512_mask(v, v, ORDERED, -1, CURRENT_ROUNDING))
#define EXTREMUM(which, a, b, lanes) __builtin_ia32_##which##ps512_mask(a, b, a, lanes, CURRENT_ROUNDING)
#endif
FC_INLINE vec greater_of(vec a, vec b)
{
    const number_vec v = (number_vec)a;
    return (vec)EXTREMUM(max, v, (number_vec)b, REAL_LANES(v));
}
FC_INLINE vec smaller_of(vec a, vec b)
{
    const number_vec v = (number_vec)a;
    return (vec)EXTREMUM(min, v, (number_vec)b, REAL_LANES(v));
}
#elif defined(__SSE2__) && !defined(__clang__) && FC_BYTES < 64
FC_INLINE vec greater_of(vec a, vec b) { return select(a != a, a, (vec)FC_LIMIT(max, (limit_vec)a, (limit_vec)b)); }
FC_INLINE vec smaller_of(vec a, vec b) { return select(a != a, a, (vec)FC_LIMIT(min, (limit_vec)a, (limit_vec)b)); }
#else
FC_INLINE vec greater_of(vec a, vec b) { return select((a > b) | (a != a), a, b); }
FC_INLINE vec smaller_of(vec a, vec b) { return select((a < b) | (a != a), a, b); }
#endif

#endif
