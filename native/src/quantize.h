/* Rows to int8. Internal. */
#ifndef ES_QUANTIZE_H
#define ES_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

/* q = clip(rint(x * scale[column] + offset[column]), -128, 127); the product and the sum are each rounded to float.
 * Nothing overlaps. */
void es_quantize_rows(const float *rows, size_t n_rows, size_t width, const float *scale, const float *offset,
                      int8_t *quantized);

#endif
