/* Power spectrum of a real frame, in two passes over a table of n_rows x n_columns (x[row * n_columns + column]).
 *
 * Pass 1, a column in each lane: the real FFT down each column gives rows k = 0 .. n_rows/2; the rows above follow by
 *         symmetry. Row k, column c is turned by exp(-2 pi i k c / n_fft).
 * Pass 2, a row in each lane: the complex FFT along row k gives X[k + n_rows j], j = 0 .. n_columns-1. Bins of the upper
 *         half are those of the lower half mirrored, as |X[n_fft - b]| = |X[b]|.
 * Row n_rows/2 does not fill a vector; being real before its turn, it is a small matrix product.
 * (The four-step FFT: Bailey, "FFTs in external or hierarchical memory", 1990.) Included by kernel_*.c only.
 */
#include "fft.h"
#include "fft_codelets.h"

static inline void pass_down_columns(const es_fft *fft, const float *x)
{
    const int32_t n_columns = fft->n_columns;
    for (int32_t c = 0; c < n_columns; c += ES_LANES) {
        const float *twiddle = fft->twiddle + c;
        float *re = fft->re + c, *im = fft->im + c, *middle = fft->middle_row + c;
        switch (fft->n_rows) {
        case 16:
            real_pass_16_16(x + c, n_columns, twiddle, re, im, middle);
            break;
        case 32:
            if (fft->used_rows == 25)
                real_pass_32_25(x + c, n_columns, twiddle, re, im, middle);
            else
                real_pass_32_32(x + c, n_columns, twiddle, re, im, middle);
            break;
        default:
            real_pass_64_64(x + c, n_columns, twiddle, re, im, middle);
            break;
        }
    }
}

static inline void pass_along_rows(const es_fft *fft, float *power)
{
    const int32_t n_rows = fft->n_rows, n_columns = fft->n_columns;
    for (int32_t k = 0; k < n_rows / 2; k += ES_LANES) {
        V re[ES_FFT_MAX_COLUMNS], im[ES_FFT_MAX_COLUMNS];
        for (int32_t c = 0; c < n_columns; c += ES_LANES) {
            es_transpose(fft->re + k * n_columns + c, n_columns, re + c);
            es_transpose(fft->im + k * n_columns + c, n_columns, im + c);
        }
        float *up = power + k, *down = power - k - (ES_LANES - 1);
        switch (n_columns) {
        case 16:
            complex_pass_16(re, im, n_rows, up, down);
            break;
        case 32:
            complex_pass_32(re, im, n_rows, up, down);
            break;
        default:
            complex_pass_64(re, im, n_rows, up, down);
            break;
        }
    }
}

static inline void middle_row_power(const es_fft *fft, float *power)
{
    const int32_t n_columns = fft->n_columns, half = n_columns / 2;
    for (int32_t k = 0; k < half; k += ES_LANES) {
        V re = es_splat(0.0f), im = es_splat(0.0f);
        for (int32_t c = 0; c < n_columns; c++) {
            const V value = es_splat(fft->middle_row[c]);
            re += value * es_load_aligned(fft->middle + c * n_columns + k);
            im += value * es_load_aligned(fft->middle + c * n_columns + half + k);
        }
        float both[ES_LANES];
        es_store(both, re * re + im * im);
        for (int32_t i = 0; i < ES_LANES; i++)
            power[fft->n_rows / 2 + fft->n_rows * (k + i)] = both[i];
    }
}

/* x: used_rows * n_columns samples. power: [n_fft/2 + 1]. */
static void fft_power(const es_fft *fft, const float *x, float *power)
{
    pass_down_columns(fft, x);
    middle_row_power(fft, power);
    pass_along_rows(fft, power);
}
