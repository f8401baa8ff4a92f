/* isa.c: which instruction sets were compiled, which of them this CPU runs, and the float mode of the loops.
 *
 * Compiled once, for the baseline: nothing here may need more than any CPU of the platform has.
 */
#include "tiles.h"

#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#define FC_X86 1
#endif

/* The build defines FC_ISAS(X): X(name, doubles) for each instruction set that it compiled, weakest first, with the one
 * whose tiles of double go with it: avx512 has none of its own.
 */
#define DECLARE(isa, doubles) extern const fc_tiles fc_tiles_float_##isa, fc_tiles_double_##doubles;
FC_ISAS(DECLARE)

const fc_tiles *fc_table(int isa, int real_double)
{
#define ROW(isa, doubles) {&fc_tiles_float_##isa, &fc_tiles_double_##doubles},
    static const fc_tiles *const tables[][2] = {FC_ISAS(ROW)};
    return isa >= 0 && isa < (int)(sizeof tables / sizeof *tables) ? tables[isa][real_double] : NULL;
}

int fc_supported(int isa)
{
    const char *name = fc_table(isa, 0)->isa;
    if (!strcmp(name, "baseline")) return 1;
#if FC_X86
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(name, "avx2") || (FC_EMULATE && !strcmp(name, "avx512"))) return avx2;
    if (!strcmp(name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
               && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    return 0;
}

unsigned fc_flush_enter(void)
{
#if FC_X86
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* flush to zero, denormals are zero */
    return before;
#else
    return 0;
#endif
}

void fc_flush_leave(unsigned before)
{
#if FC_X86
    _mm_setcsr(before);
#else
    (void)before;
#endif
}
