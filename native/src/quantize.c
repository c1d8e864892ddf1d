#include "quantize.h"

/* Adding and taking away 1.5 * 2^23 leaves a float below 2^22 rounded to a whole number, ties to even. */
static const float rounder = 12582912.0f;

/* The product must not be fused with the sum: q is what anyone gets who quantises afterwards. And comparisons need not
 * trap for what they see, or GCC would not put them into vectors. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
__attribute__((optimize("fp-contract=off", "no-trapping-math")))
#endif
void es_quantize_rows(const float *restrict rows, size_t n_rows, size_t width, const float *restrict scale,
                      const float *restrict offset, int8_t *restrict quantized)
{
    for (size_t t = 0; t < n_rows; t++) {
        for (size_t i = 0; i < width; i++) {
            float q = rows[i] * scale[i] + offset[i];
            q = q < -128.0f ? -128.0f : q;
            q = q > 127.0f ? 127.0f : q;
            quantized[i] = (int8_t)((q + rounder) - rounder);
        }
        rows += width;
        quantized += width;
    }
}
