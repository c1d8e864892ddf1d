/* x86-64-v4: AVX-512, 32 registers of 16 lanes. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("arch=x86-64-v4,tune=icelake-server,prefer-vector-width=512")
#define ES_KERNEL_NAME avx512
#define ES_LANES 16
#include "kernel_body.h"
#else
typedef int es_no_avx512_kernel;
#endif
