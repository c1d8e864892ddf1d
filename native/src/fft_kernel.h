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

static ES_INLINE void pass_down_columns(const es_fft *fft, const int n_rows, const int used_rows, const int n_columns,
                                        const float *restrict x, const int f)
{
    const float *twiddle = fft->twiddle;
    float *re = fft->re + f * (n_rows / 2 * n_columns), *im = fft->im + f * (n_rows / 2 * n_columns);
    float *middle = fft->middle_row + f * n_columns;
    for (int c = 0; c < n_columns; c += ES_LANES) {
        if (n_rows == 16)
            real_pass_16_16(x + c, n_columns, twiddle + c, re + c, im + c, middle + c);
        else if (n_rows == 32 && used_rows == 25)
            real_pass_32_25(x + c, n_columns, twiddle + c, re + c, im + c, middle + c);
        else if (n_rows == 32)
            real_pass_32_32(x + c, n_columns, twiddle + c, re + c, im + c, middle + c);
        else
            real_pass_64_64(x + c, n_columns, twiddle + c, re + c, im + c, middle + c);
    }
}

static ES_INLINE void pass_along_rows(const es_fft *fft, const int n_rows, const int n_columns, float *restrict power,
                                      const int f)
{
    for (int k = 0; k < n_rows / 2; k += ES_LANES) {
        const int first = (f * n_rows / 2 + k) * n_columns;
        const float *fft_re = fft->re + first, *fft_im = fft->im + first;
        V re[ES_FFT_MAX_COLUMNS], im[ES_FFT_MAX_COLUMNS];
        for (int c = 0; c < n_columns; c += ES_LANES) {
            es_transpose(fft_re + c, n_columns, re + c);
            es_transpose(fft_im + c, n_columns, im + c);
        }
        float *up = power + k, *down = power - k - (ES_LANES - 1);
        if (n_columns == 16)
            complex_pass_16(re, im, n_rows, up, down);
        else if (n_columns == 32)
            complex_pass_32(re, im, n_rows, up, down);
        else
            complex_pass_64(re, im, n_rows, up, down);
    }
}

/* Columns c and n_columns - c have opposite cosines and equal sines, which halves the products. */
static ES_INLINE void middle_row_power(const es_fft *fft, const int n_rows, const int n_columns, float *restrict power,
                                       const int f)
{
    const int half = n_columns / 2;
    const float *restrict y = fft->middle_row + f * n_columns, *restrict table = fft->middle;
    float with_cosine[ES_FFT_MAX_COLUMNS / 2], with_sine[ES_FFT_MAX_COLUMNS / 2];
    with_cosine[0] = y[0];
    with_sine[0] = y[half];
    for (int c = 1; c < half; c++) {
        with_cosine[c] = y[c] - y[n_columns - c];
        with_sine[c] = y[c] + y[n_columns - c];
    }
    for (int k = 0; k < half; k += ES_LANES) {
        V re = es_splat(0.0f), im = es_splat(0.0f);
        for (int c = 0; c < half; c++) {
            re += es_splat(with_cosine[c]) * es_load_aligned(table + c * n_columns + k);
            im += es_splat(with_sine[c]) * es_load_aligned(table + c * n_columns + half + k);
        }
        float both[ES_LANES];
        es_store(both, re * re + im * im);
        for (int i = 0; i < ES_LANES; i++)
            power[n_rows / 2 + n_rows * (k + i)] = both[i];
    }
}

/* Frame by frame in each pass: by the time a pass needs the results of the one before, they have arrived. */
static ES_INLINE void fft_power_of(const es_fft *fft, const int n_rows, const int used_rows, const int n_columns,
                                   const int n_frames, const float *x, float *power, ptrdiff_t power_length)
{
    for (int f = 0; f < n_frames; f++)
        pass_down_columns(fft, n_rows, used_rows, n_columns, x + f * used_rows * n_columns, f);
    for (int f = 0; f < n_frames; f++) {
        middle_row_power(fft, n_rows, n_columns, power + f * power_length, f);
        pass_along_rows(fft, n_rows, n_columns, power + f * power_length, f);
    }
}

/* x: [n_frames][used_rows * n_columns] samples. power: [n_frames][power_length], n_fft/2 + 1 of each are written. */
static ES_INLINE void fft_power(const es_fft *fft, const int n_frames, const float *x, float *power,
                                ptrdiff_t power_length)
{
    switch (fft->n_fft) {
    case 256:
        fft_power_of(fft, 16, 16, 16, n_frames, x, power, power_length);
        break;
    case 512:
        if (fft->used_rows == 25)
            fft_power_of(fft, 32, 25, 16, n_frames, x, power, power_length);
        else
            fft_power_of(fft, 32, 32, 16, n_frames, x, power, power_length);
        break;
    case 1024:
        fft_power_of(fft, 32, 32, 32, n_frames, x, power, power_length);
        break;
    case 2048:
        fft_power_of(fft, 64, 64, 32, n_frames, x, power, power_length);
        break;
    default:
        fft_power_of(fft, 64, 64, 64, n_frames, x, power, power_length);
        break;
    }
}
