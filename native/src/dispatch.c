/* Which kernel runs: the best one that the processor has, or the one that is asked for. */
#include "spectral.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
extern const es_kernel es_kernel_avx512, es_kernel_avx2, es_kernel_sse2;

const es_kernel *es_choose_kernel(es_simd simd)
{
    __builtin_cpu_init();
    const int has_avx512 = __builtin_cpu_supports("x86-64-v4"), has_avx2 = __builtin_cpu_supports("x86-64-v3");
    switch (simd) {
    case ES_SIMD_AVX512:
        return has_avx512 ? &es_kernel_avx512 : NULL;
    case ES_SIMD_AVX2:
        return has_avx2 ? &es_kernel_avx2 : NULL;
    case ES_SIMD_BASE:
        return &es_kernel_sse2;
    default:
        return has_avx512 ? &es_kernel_avx512 : has_avx2 ? &es_kernel_avx2 : &es_kernel_sse2;
    }
}

#else

#if defined(__SSE2__)
extern const es_kernel es_kernel_sse2;
#define BASE_KERNEL es_kernel_sse2
#elif defined(__ARM_NEON)
extern const es_kernel es_kernel_neon;
#define BASE_KERNEL es_kernel_neon
#else
extern const es_kernel es_kernel_scalar;
#define BASE_KERNEL es_kernel_scalar
#endif

const es_kernel *es_choose_kernel(es_simd simd)
{
    return simd == ES_SIMD_BEST || simd == ES_SIMD_BASE ? &BASE_KERNEL : NULL;
}

#endif
