/* Real FFT of a power-of-two length. Internal. */
#ifndef ES_FFT_H
#define ES_FFT_H

#include <stdint.h>

/* twiddle[2k], twiddle[2k+1] = cos, sin of 2 pi k / n for k < n/2. */
void es_fft_fill_twiddle(int32_t n, float *twiddle);

/* power[k] = |X[k]|^2, k = 0..n/2, of the n real values of x, which are overwritten. */
void es_fft_power(int32_t n, const float *twiddle, float *x, float *power);

#endif
