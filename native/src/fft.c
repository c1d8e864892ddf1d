#include "fft.h"

#include <math.h>

#define PI 3.14159265358979323846

static int32_t rows_of(int32_t n_fft)
{
    switch (n_fft) {
    case 256:
        return 16;
    case 512:
    case 1024:
        return 32;
    default:
        return 64;
    }
}

/* The passes that there are: all rows, or 25 of the 32 of a 512-point FFT. */
static int32_t rows_taken(int32_t n_fft, int32_t n_rows, int32_t needed)
{
    return n_fft == 512 && needed <= 25 ? 25 : n_rows;
}

static void fill_tables(es_fft *fft)
{
    const int32_t n_rows = fft->n_rows, n_columns = fft->n_columns, half = n_columns / 2, width = fft->middle_width;
    const double turn = 2.0 * PI / fft->n_fft;
    for (int32_t c = 0; c < n_columns; c++) {
        for (int32_t k = 1; k < n_rows / 2; k++) {
            fft->twiddle[(2 * k - 2) * n_columns + c] = (float)cos(turn * k * c);
            fft->twiddle[(2 * k - 1) * n_columns + c] = (float)sin(turn * k * c);
        }
    }
    for (int32_t c = 0; c < half; c++) { /* column 0 has no partner: its cosines are 1, its sines serve column half */
        for (int32_t k = 0; k < half; k++) {
            fft->middle[2 * c * width + k] = (float)cos(turn * c * (n_rows / 2 + n_rows * k));
            fft->middle[(2 * c + 1) * width + k] = (float)sin(turn * (c ? c : half) * (n_rows / 2 + n_rows * k));
        }
    }
}

void es_fft_init(es_fft *fft, int32_t n_fft, int32_t window_length, int32_t lanes, int32_t copies, es_arena *arena)
{
    const int32_t n_rows = rows_of(n_fft), n_columns = n_fft / n_rows;
    const int32_t needed = (window_length + n_columns - 1) / n_columns;
    const int32_t middle_width = n_columns / 2 < lanes ? lanes : n_columns / 2;
    const size_t n_half = (size_t)(n_rows / 2 * n_columns), n_block = lanes > 1 ? (size_t)lanes : 0;
    *fft = (es_fft){
        .n_fft = n_fft,
        .n_rows = n_rows,
        .n_columns = n_columns,
        .used_rows = rows_taken(n_fft, n_rows, needed),
        .twiddle = es_arena_floats(arena, (size_t)((n_rows - 2) * n_columns)),
        .middle = es_arena_zeros(arena, (size_t)(n_columns * middle_width)),
        .middle_width = middle_width,
        .re = es_arena_zeros(arena, n_half),
        .im = es_arena_zeros(arena, n_half),
        .middle_row = es_arena_zeros(arena, (size_t)n_columns),
        .block_rows = es_arena_zeros(arena, n_block * (size_t)((n_rows + 1) * n_columns)),
        .block_middle_row = es_arena_zeros(arena, n_block * (size_t)n_columns),
    };
    if (arena->base)
        fill_tables(fft);
    fft->block_twiddle = es_arena_copies(arena, fft->twiddle, (size_t)((n_rows - 2) * n_columns), copies);
    fft->block_middle = es_arena_copies(arena, fft->middle, (size_t)(n_columns * middle_width), copies);
}
