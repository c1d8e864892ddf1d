/* Power spectrum of real frames, in two passes over a table of n_rows x n_columns (x[row * n_columns + column]).
 *
 * Pass 1, a column in each lane: the real FFT down each column gives rows k = 0 .. n_rows/2; the rows above follow by
 *         symmetry. Row k, column c is turned by exp(-2 pi i k c / n_fft).
 * Pass 2, the complex FFT along row k gives X[k + n_rows j], j = 0 .. n_columns-1. Bins of the upper half are those of
 *         the lower half mirrored, as |X[n_fft - b]| = |X[b]|. There is a row of the same frame in each lane, or, in a
 *         block of ES_LANES frames, the same row of another frame: a lane computes the same either way.
 * Row n_rows/2 does not fill a vector; being real before its turn, it is a small matrix product.
 * (The four-step FFT: Bailey, "FFTs in external or hierarchical memory", 1990.) Included by kernel_*.c only.
 */
#include "fft.h"

/* Where pass 2 puts powers: those of `lanes` bins of one frame, from `first` up or down, or with lanes = 0 those of one
 * bin of a block, a frame in each lane. */
static ES_INLINE void put_up(float *first, V power, const int lanes)
{
#if ES_LANES > 8
    if (lanes == ES_LANES / 2) {
        _mm256_storeu_ps(first, _mm512_castps512_ps256(power));
        return;
    }
#endif
    (void)lanes;
    es_store_aligned(first, power);
}

static ES_INLINE void put_down(float *first, V power, const int lanes)
{
    if (lanes == 0) {
        es_store_aligned(first, power);
        return;
    }
#if ES_LANES > 8
    if (lanes == ES_LANES / 2) {
        _mm256_storeu_ps(first - (lanes - 1), _mm512_extractf32x8_ps(es_reverse(power), 1));
        return;
    }
#endif
    es_store(first - (lanes - 1), es_reverse(power));
}

#include "fft_codelets.h"

/* The samples of a frame as pass 1 takes them: (x - offset) * window, where the first vector of x is `first`. */
typedef struct es_frame {
    const float *x;
    V first, offset;
} es_frame;

static ES_INLINE void pass_down_columns_of(const es_fft *fft, const int n_rows, const int used_rows,
                                           const int n_columns, const es_frame *frame, const float *window, int f)
{
    const int half = n_rows / 2 * n_columns;
    float *re = fft->re + f * half, *im = fft->im + f * half, *middle = fft->middle_row + f * n_columns;
    for (int c = 0; c < n_columns; c += ES_LANES) {
        const float *x = frame->x + c, *w = window + c, *twiddle = fft->twiddle + c;
        const V first = c == 0 ? frame->first : es_load(x), offset = frame->offset;
        if (n_rows == 16)
            real_pass_16_16(x, first, offset, w, n_columns, twiddle, re + c, im + c, middle + c);
        else if (n_rows == 32 && used_rows == 25)
            real_pass_32_25(x, first, offset, w, n_columns, twiddle, re + c, im + c, middle + c);
        else if (n_rows == 32)
            real_pass_32_32(x, first, offset, w, n_columns, twiddle, re + c, im + c, middle + c);
        else
            real_pass_64_64(x, first, offset, w, n_columns, twiddle, re + c, im + c, middle + c);
    }
}

/* Pass 1 of frame f of the block. */
static void pass_down_columns(const es_fft *fft, const es_frame *frame, const float *window, int f)
{
    switch (fft->n_fft) {
    case 256:
        pass_down_columns_of(fft, 16, 16, 16, frame, window, f);
        break;
    case 512:
        if (fft->used_rows == 25)
            pass_down_columns_of(fft, 32, 25, 16, frame, window, f);
        else
            pass_down_columns_of(fft, 32, 32, 16, frame, window, f);
        break;
    case 1024:
        pass_down_columns_of(fft, 32, 32, 32, frame, window, f);
        break;
    case 2048:
        pass_down_columns_of(fft, 64, 64, 32, frame, window, f);
        break;
    default:
        pass_down_columns_of(fft, 64, 64, 64, frame, window, f);
        break;
    }
}

static ES_INLINE void complex_pass(const int n_columns, const V *re, const V *im, ptrdiff_t distance, float *up,
                                   float *down, const int lanes)
{
    if (n_columns == 16)
        complex_pass_16(re, im, distance, up, down, lanes);
    else if (n_columns == 32)
        complex_pass_32(re, im, distance, up, down, lanes);
    else
        complex_pass_64(re, im, distance, up, down, lanes);
}

/* ---- one frame ---- */

static ES_INLINE void pass_along_rows(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    const int lanes = n_rows / 2 < ES_LANES ? n_rows / 2 : ES_LANES;
    for (int k = 0; k < n_rows / 2; k += lanes) {
        V re[ES_FFT_MAX_COLUMNS], im[ES_FFT_MAX_COLUMNS];
        for (int c = 0; c < n_columns; c += ES_LANES) {
            es_transpose(fft->re + k * n_columns + c, n_columns, re + c);
            es_transpose(fft->im + k * n_columns + c, n_columns, im + c);
        }
        complex_pass(n_columns, re, im, n_rows, power + k, power - k, lanes);
    }
}

/* Columns c and n_columns - c have opposite cosines and equal sines, which halves the products. */
static ES_INLINE void middle_row_power(const es_fft *fft, const int n_rows, const int n_columns, float *restrict power)
{
    const int half = n_columns / 2, width = half < ES_LANES ? ES_LANES : half;
    const float *restrict y = fft->middle_row, *restrict table = fft->middle;
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
            re += es_splat(with_cosine[c]) * es_load_aligned(table + 2 * c * width + k);
            im += es_splat(with_sine[c]) * es_load_aligned(table + (2 * c + 1) * width + k);
        }
        float both[ES_LANES];
        es_store(both, es_multiply_add(re, re, im * im));
        for (int i = 0; i < ES_LANES && k + i < half; i++)
            power[n_rows / 2 + n_rows * (k + i)] = both[i];
    }
}

static ES_INLINE void frame_power_of(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    middle_row_power(fft, n_rows, n_columns, power);
    pass_along_rows(fft, n_rows, n_columns, power);
}

/* Pass 2 of frame 0: power[n_fft/2 + 1]. */
static void frame_power(const es_fft *fft, float *power)
{
    switch (fft->n_fft) {
    case 256:
        frame_power_of(fft, 16, 16, power);
        break;
    case 512:
        frame_power_of(fft, 32, 16, power);
        break;
    case 1024:
        frame_power_of(fft, 32, 32, power);
        break;
    case 2048:
        frame_power_of(fft, 64, 32, power);
        break;
    default:
        frame_power_of(fft, 64, 64, power);
        break;
    }
}

#if ES_LANES > 1
/* ---- a block of ES_LANES frames ---- */

static ES_INLINE void block_along_rows(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    const ptrdiff_t frame_length = n_rows / 2 * n_columns;
    for (int k = 0; k < n_rows / 2; k++) {
        V re[ES_FFT_MAX_COLUMNS], im[ES_FFT_MAX_COLUMNS];
        for (int c = 0; c < n_columns; c += ES_LANES) {
            es_transpose(fft->re + k * n_columns + c, frame_length, re + c);
            es_transpose(fft->im + k * n_columns + c, frame_length, im + c);
        }
        complex_pass(n_columns, re, im, n_rows * ES_LANES, power + k * ES_LANES, power - k * ES_LANES, 0);
    }
}

static ES_INLINE void block_middle_row(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    const int half = n_columns / 2, width = half < ES_LANES ? ES_LANES : half;
    V y[ES_FFT_MAX_COLUMNS], with_cosine[ES_FFT_MAX_COLUMNS / 2], with_sine[ES_FFT_MAX_COLUMNS / 2];
    for (int c = 0; c < n_columns; c += ES_LANES)
        es_transpose(fft->middle_row + c, n_columns, y + c);
    with_cosine[0] = y[0];
    with_sine[0] = y[half];
    for (int c = 1; c < half; c++) {
        with_cosine[c] = y[c] - y[n_columns - c];
        with_sine[c] = y[c] + y[n_columns - c];
    }
    for (int k = 0; k < half; k++) {
        const float *table = fft->middle + k;
        V re = es_splat(0.0f), im = es_splat(0.0f);
        for (int c = 0; c < half; c++) {
            re += with_cosine[c] * es_splat(table[2 * c * width]);
            im += with_sine[c] * es_splat(table[(2 * c + 1) * width]);
        }
        es_store_aligned(power + (n_rows / 2 + n_rows * k) * ES_LANES, es_multiply_add(re, re, im * im));
    }
}

static ES_INLINE void block_power_of(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    block_middle_row(fft, n_rows, n_columns, power);
    block_along_rows(fft, n_rows, n_columns, power);
}

/* Pass 2 of all frames of the block: power[n_fft/2 + 1][ES_LANES]. */
static void block_power(const es_fft *fft, float *power)
{
    switch (fft->n_fft) {
    case 256:
        block_power_of(fft, 16, 16, power);
        break;
    case 512:
        block_power_of(fft, 32, 16, power);
        break;
    case 1024:
        block_power_of(fft, 32, 32, power);
        break;
    case 2048:
        block_power_of(fft, 64, 32, power);
        break;
    default:
        block_power_of(fft, 64, 64, power);
        break;
    }
}
#endif
