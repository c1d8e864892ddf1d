/* The kernel that runs on every processor the library was compiled for: SSE2, NEON or plain C. */
#if defined(__SSE2__)
#define ES_KERNEL_NAME sse2
#define ES_LANES 4
#elif defined(__ARM_NEON)
#define ES_KERNEL_NAME neon
#define ES_LANES 4
#else
#define ES_KERNEL_NAME scalar
#define ES_LANES 1
#endif
#include "kernel_body.h"
