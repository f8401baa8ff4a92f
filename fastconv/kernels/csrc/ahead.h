/* ahead.h: memory that comes into play soon, asked for a few lines at a time while there is something to compute: to
 * wait for it in one go would leave the multipliers idle.
 */
#ifndef FC_AHEAD_H
#define FC_AHEAD_H

#include "vector.h"

enum { LINE = 64 / sizeof(real) };

typedef struct {
    const real *start, *end;
    ptrdiff_t step; /* of one ask */
} ahead;

/* `count` elements from `start` on, or none below 1, in the asks 0 to `times` - 1. */
FC_INLINE ahead ahead_of(const real *start, ptrdiff_t count, ptrdiff_t times)
{
    return (ahead){start, start + max_(count, 0), blocks(max_(count, 0), max_(times, 1) * LINE) * LINE};
}

FC_INLINE void ask(const int write, const ahead *a, ptrdiff_t i)
{
    const ptrdiff_t count = a->end - a->start, stop = min_(count, (i + 1) * a->step);
    for (ptrdiff_t at = i * a->step; at < stop; at += LINE)
        if (write)
            __builtin_prefetch(a->start + at, 1, 2);
        else
            __builtin_prefetch(a->start + at, 0, 2);
}

#endif
