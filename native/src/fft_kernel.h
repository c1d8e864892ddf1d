/* Power spectrum of real frames, in two passes over a table of n_rows x n_columns (x[row * n_columns + column]).
 *
 * Pass 1: the real FFT down each column gives rows k = 0 .. n_rows/2; the rows above follow by symmetry. Row k, column c
 *         is turned by exp(-2 pi i k c / n_fft).
 * Pass 2: the complex FFT along row k gives X[k + n_rows j], j = 0 .. n_columns-1. Bins of the upper half are those of
 *         the lower half mirrored, as |X[n_fft - b]| = |X[b]|.
 * Of one frame, pass 1 has a column in each lane and pass 2 a row, with a transposition between them. In a block of
 * ES_LANES frames there is a frame in each lane throughout. A lane computes the same either way.
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

/* A column as pass 1 takes it: of one frame, with ES_LANES - 1 more columns beside it, or with block != 0 of a block of
 * frames. The samples are (x - offset) * window, where the first x is `first`. */
typedef struct es_column {
    const float *x;            /* of one frame: samples n_columns apart */
    const float *const *rows;  /* of a block: where rows of frames side by side begin, and how far from there */
    ptrdiff_t place;
    V first, offset;
    const float *window, *twiddle; /* from this column on; of a block, a number for all lanes */
    ptrdiff_t n_columns;
    float *re, *im, *middle;   /* results: rows row_length apart, and row n_rows/2 */
    ptrdiff_t row_length;
} es_column;

/* Row i. */
static ES_INLINE V sample_of(const es_column *column, const int i, const int block)
{
    if (i == 0)
        return column->first - column->offset;
    return es_load(block ? column->rows[i] + column->place : column->x + i * column->n_columns) - column->offset;
}

static ES_INLINE V window_of(const es_column *column, const int i, const int block)
{
    const ptrdiff_t at = i * column->n_columns;
    return block ? es_same(column->window, at) : es_load_aligned(column->window + at);
}

/* Turns the value of row k by the twiddle of its column and stores it. */
static ES_INLINE void turn(const es_column *column, const int k, V re, V im, const int block)
{
    const ptrdiff_t at = (2 * k - 2) * column->n_columns, next = at + column->n_columns;
    const V c = block ? es_same(column->twiddle, at) : es_load_aligned(column->twiddle + at);
    const V s = block ? es_same(column->twiddle, next) : es_load_aligned(column->twiddle + next);
    es_store_aligned(column->re + k * column->row_length, es_multiply_add(re, c, im * s));
    es_store_aligned(column->im + k * column->row_length, es_difference_of_products(im, c, re, s));
}

/* A row as pass 2 takes it, column by column: vectors of one frame, or of a block re and im in memory. */
typedef struct es_row {
    const V *re, *im;
    const float *columns; /* `next` floats apart */
    ptrdiff_t next;
} es_row;

static ES_INLINE V re_of(const es_row *row, const int i, const int lanes)
{
    return lanes == 0 ? es_load_aligned(row->columns + i * row->next) : row->re[i];
}

static ES_INLINE V im_of(const es_row *row, const int i, const int lanes)
{
    return lanes == 0 ? es_load_aligned(row->columns + i * row->next + ES_LANES) : row->im[i];
}

#include "fft_codelets.h"

static ES_INLINE void real_pass(const es_column *column, const int n_rows, const int used_rows, const int block)
{
    if (n_rows == 16)
        real_pass_16_16(column, block);
    else if (n_rows == 32 && used_rows == 25)
        real_pass_32_25(column, block);
    else if (n_rows == 32)
        real_pass_32_32(column, block);
    else
        real_pass_64_64(column, block);
}

/* Powers of bins are `distance` floats apart. */
static ES_INLINE void complex_pass(const int n_columns, const es_row *row, ptrdiff_t distance, float *up, float *down,
                                   const int lanes)
{
    if (n_columns == 16)
        complex_pass_16(row, distance, up, down, lanes);
    else if (n_columns == 32)
        complex_pass_32(row, distance, up, down, lanes);
    else
        complex_pass_64(row, distance, up, down, lanes);
}

/* ---- one frame ---- */

/* The samples of a frame: (x - offset) * window, where the first vector of x is `first`. */
typedef struct es_frame {
    const float *x;
    V first, offset;
} es_frame;

static ES_INLINE void pass_down_columns_of(const es_fft *fft, const int n_rows, const int used_rows,
                                           const int n_columns, const es_frame *frame, const float *window)
{
    es_column column = {.offset = frame->offset, .n_columns = n_columns, .row_length = n_columns};
    for (int c = 0; c < n_columns; c += ES_LANES) {
        column.x = frame->x + c;
        column.first = c == 0 ? frame->first : es_load(frame->x + c);
        column.window = window + c;
        column.twiddle = fft->twiddle + c;
        column.re = fft->re + c;
        column.im = fft->im + c;
        column.middle = fft->middle_row + c;
        real_pass(&column, n_rows, used_rows, 0);
    }
}

/* Pass 1. */
static void pass_down_columns(const es_fft *fft, const es_frame *frame, const float *window)
{
    switch (fft->n_fft) {
    case 256:
        pass_down_columns_of(fft, 16, 16, 16, frame, window);
        break;
    case 512:
        if (fft->used_rows == 25)
            pass_down_columns_of(fft, 32, 25, 16, frame, window);
        else
            pass_down_columns_of(fft, 32, 32, 16, frame, window);
        break;
    case 1024:
        pass_down_columns_of(fft, 32, 32, 32, frame, window);
        break;
    case 2048:
        pass_down_columns_of(fft, 64, 64, 32, frame, window);
        break;
    default:
        pass_down_columns_of(fft, 64, 64, 64, frame, window);
        break;
    }
}

static ES_INLINE void pass_along_rows(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    const int lanes = n_rows / 2 < ES_LANES ? n_rows / 2 : ES_LANES;
    for (int k = 0; k < n_rows / 2; k += lanes) {
        V re[ES_FFT_MAX_COLUMNS], im[ES_FFT_MAX_COLUMNS];
        for (int c = 0; c < n_columns; c += ES_LANES) {
            es_transpose(fft->re + k * n_columns + c, n_columns, re + c);
            es_transpose(fft->im + k * n_columns + c, n_columns, im + c);
        }
        const es_row row = {.re = re, .im = im};
        complex_pass(n_columns, &row, n_rows, power + k, power - k, lanes);
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

/* Pass 2: power[n_fft/2 + 1]. */
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

/* The samples of the frames of a block, side by side: row i of the FFT's table begins at rows[i], a column is
 * `distance` floats further than the one before it. */
typedef struct es_block {
    const float *rows[ES_FFT_MAX_ROWS];
    ptrdiff_t distance;
    V first, offset; /* as in es_frame */
    const float *ahead;     /* to be fetched into the cache, */
    ptrdiff_t ahead_length; /* so much of it with every column */
} es_block;

static ES_INLINE void block_down_columns_of(const es_fft *fft, const int n_rows, const int used_rows,
                                            const int n_columns, const es_block *block, const float *window)
{
    es_column column = {.rows = block->rows, .offset = block->offset, .n_columns = n_columns,
                        .row_length = 2 * ES_LANES};
    for (int c = 0; c < n_columns; c++) {
        for (ptrdiff_t i = 0; i < block->ahead_length; i += 16)
            es_prefetch(block->ahead + c * block->ahead_length + i);
        column.place = c * block->distance;
        column.first = c == 0 ? block->first : es_load(block->rows[0] + column.place);
        column.window = window + c * ES_COPIES;
        column.twiddle = fft->block_twiddle + c * ES_COPIES;
        column.re = fft->block_rows + c * (n_rows + 1) * ES_LANES;
        column.im = column.re + ES_LANES;
        column.middle = fft->block_middle_row + c * ES_LANES;
        real_pass(&column, n_rows, used_rows, 1);
    }
}

/* Pass 1. */
static void block_down_columns(const es_fft *fft, const es_block *block, const float *window)
{
    switch (fft->n_fft) {
    case 256:
        block_down_columns_of(fft, 16, 16, 16, block, window);
        break;
    case 512:
        if (fft->used_rows == 25)
            block_down_columns_of(fft, 32, 25, 16, block, window);
        else
            block_down_columns_of(fft, 32, 32, 16, block, window);
        break;
    case 1024:
        block_down_columns_of(fft, 32, 32, 32, block, window);
        break;
    case 2048:
        block_down_columns_of(fft, 64, 64, 32, block, window);
        break;
    default:
        block_down_columns_of(fft, 64, 64, 64, block, window);
        break;
    }
}

static ES_INLINE void block_along_rows(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    for (int k = 0; k < n_rows / 2; k++) {
        const es_row row = {.columns = fft->block_rows + 2 * k * ES_LANES, .next = (n_rows + 1) * ES_LANES};
        complex_pass(n_columns, &row, n_rows * ES_LANES, power + k * ES_LANES, power - k * ES_LANES, 0);
    }
}

static ES_INLINE void block_middle_row(const es_fft *fft, const int n_rows, const int n_columns, float *power)
{
    const int half = n_columns / 2, width = half < ES_LANES ? ES_LANES : half;
    const float *y = fft->block_middle_row;
    V with_cosine[ES_FFT_MAX_COLUMNS / 2], with_sine[ES_FFT_MAX_COLUMNS / 2];
    with_cosine[0] = es_load_aligned(y);
    with_sine[0] = es_load_aligned(y + half * ES_LANES);
    for (int c = 1; c < half; c++) {
        const V low = es_load_aligned(y + c * ES_LANES), high = es_load_aligned(y + (n_columns - c) * ES_LANES);
        with_cosine[c] = low - high;
        with_sine[c] = low + high;
    }
    for (int k = 0; k < half; k++) {
        const float *table = fft->block_middle + k * ES_COPIES;
        V re = es_splat(0.0f), im = es_splat(0.0f);
        for (int c = 0; c < half; c++) {
            re += with_cosine[c] * es_same(table, 2 * c * width);
            im += with_sine[c] * es_same(table, (2 * c + 1) * width);
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
