/* sizes.h: sizes of memory as products that never wrap, for the bindings (_memory.pxd) and for the tiles that say how much
 * scratch they need. Contract: what is too large for any memory becomes FC_TOO_LARGE, and so does a product with a
 * negative factor; the allocator refuses that.
 */
#ifndef FC_SIZES_H
#define FC_SIZES_H

#include <stddef.h>

/* More than any memory: so few bits that sums of several and their signed types hold them too. */
#define FC_TOO_LARGE ((size_t)1 << 59)
static inline ptrdiff_t fc_bytes_product(const size_t *factors, size_t count)
{
    size_t all = 1;
    for (size_t i = 0; i < count; i++)
        if (factors[i] == 0) return 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(all, factors[i], &all) || all > FC_TOO_LARGE) return FC_TOO_LARGE;
    return (ptrdiff_t)all;
}
#define FC_PRODUCT(...) \
    fc_bytes_product((const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t))

#endif
