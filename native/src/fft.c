/* The n real values are taken as n/2 complex ones z[i] = x[2i] + i x[2i+1]; a radix-2 transform in place gives Z, and
 * X[k] = (Z[k] + Z*[n/2-k]) / 2 - i W^k (Z[k] - Z*[n/2-k]) / 2 with W = exp(-2 pi i / n). */
#include "fft.h"

#include <math.h>

#define PI 3.14159265358979323846

void es_fft_fill_twiddle(int32_t n, float *twiddle)
{
    for (int32_t k = 0; k < n / 2; k++) {
        twiddle[2 * k] = (float)cos(2.0 * PI * k / n);
        twiddle[2 * k + 1] = (float)sin(2.0 * PI * k / n);
    }
}

static void reverse_bits(int32_t m, float *z)
{
    for (int32_t i = 1, j = 0; i < m; i++) {
        int32_t bit = m >> 1;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j |= bit;
        if (i < j) {
            const float re = z[2 * i], im = z[2 * i + 1];
            z[2 * i] = z[2 * j];
            z[2 * i + 1] = z[2 * j + 1];
            z[2 * j] = re;
            z[2 * j + 1] = im;
        }
    }
}

static void complex_fft(int32_t m, const float *twiddle, float *z)
{
    reverse_bits(m, z);
    for (int32_t half = 1; half < m; half *= 2) {
        const int32_t step = m / half; /* W_(2 half)^j = W_n^(j step), as n = 2 m */
        for (int32_t start = 0; start < m; start += 2 * half) {
            for (int32_t j = 0; j < half; j++) {
                float *a = z + 2 * (start + j), *b = a + 2 * half;
                const float c = twiddle[2 * j * step], s = twiddle[2 * j * step + 1];
                const float re = b[0] * c + b[1] * s, im = b[1] * c - b[0] * s;
                b[0] = a[0] - re;
                b[1] = a[1] - im;
                a[0] += re;
                a[1] += im;
            }
        }
    }
}

void es_fft_power(int32_t n, const float *twiddle, float *x, float *power)
{
    const int32_t m = n / 2;
    complex_fft(m, twiddle, x);
    power[0] = (x[0] + x[1]) * (x[0] + x[1]);
    power[m] = (x[0] - x[1]) * (x[0] - x[1]);
    for (int32_t k = 1; k < m; k++) {
        const float *a = x + 2 * k, *b = x + 2 * (m - k);
        const float c = twiddle[2 * k], s = twiddle[2 * k + 1];
        const float even_re = 0.5f * (a[0] + b[0]), even_im = 0.5f * (a[1] - b[1]);
        const float odd_re = 0.5f * (a[1] + b[1]), odd_im = 0.5f * (b[0] - a[0]);
        const float re = even_re + odd_re * c + odd_im * s, im = even_im + odd_im * c - odd_re * s;
        power[k] = re * re + im * im;
    }
}
