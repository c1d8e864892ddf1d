#include "fft.h"

#include <math.h>
#include <string.h>

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
    const int32_t n_rows = fft->n_rows, n_columns = fft->n_columns, half = n_columns / 2;
    const double turn = 2.0 * PI / fft->n_fft;
    for (int32_t c = 0; c < n_columns; c++) {
        for (int32_t k = 1; k < n_rows / 2; k++) {
            fft->twiddle[(2 * k - 2) * n_columns + c] = (float)cos(turn * k * c);
            fft->twiddle[(2 * k - 1) * n_columns + c] = (float)sin(turn * k * c);
        }
    }
    for (int32_t c = 0; c < half; c++) { /* column 0 has no partner: its cosines are 1, its sines serve column half */
        for (int32_t k = 0; k < half; k++) {
            fft->middle[c * n_columns + k] = (float)cos(turn * c * (n_rows / 2 + n_rows * k));
            fft->middle[c * n_columns + half + k] = (float)sin(turn * (c ? c : half) * (n_rows / 2 + n_rows * k));
        }
    }
    /* Row 0 is real: its imaginary part is set here and never written again. */
    for (int32_t f = 0; f < ES_BLOCK; f++)
        memset(fft->im + f * (n_rows / 2 * n_columns), 0, (size_t)n_columns * sizeof(float));
}

void es_fft_init(es_fft *fft, int32_t n_fft, int32_t window_length, es_arena *arena)
{
    const int32_t n_rows = rows_of(n_fft), n_columns = n_fft / n_rows;
    const int32_t needed = (window_length + n_columns - 1) / n_columns;
    *fft = (es_fft){
        .n_fft = n_fft,
        .n_rows = n_rows,
        .n_columns = n_columns,
        .used_rows = rows_taken(n_fft, n_rows, needed),
        .twiddle = es_arena_floats(arena, (size_t)((n_rows - 2) * n_columns)),
        .middle = es_arena_floats(arena, (size_t)(n_columns / 2 * n_columns)),
        .re = es_arena_floats(arena, ES_BLOCK * (size_t)(n_rows / 2 * n_columns)),
        .im = es_arena_floats(arena, ES_BLOCK * (size_t)(n_rows / 2 * n_columns)),
        .middle_row = es_arena_floats(arena, ES_BLOCK * (size_t)n_columns),
    };
    if (arena->base)
        fill_tables(fft);
}
