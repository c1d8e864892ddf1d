/* x86-64-v3: AVX2 and fused multiply-add, 16 registers of 8 lanes. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("arch=x86-64-v3")
#define ES_KERNEL_NAME avx2
#define ES_LANES 8
#include "kernel_body.h"
#else
typedef int es_no_avx2_kernel;
#endif
