/* The FFT's shape and tables: n_fft = n_rows x n_columns, computed in two passes. Internal; fft_kernel.h computes. */
#ifndef ES_FFT_H
#define ES_FFT_H

#include "arena.h"

enum { ES_FFT_MAX_COLUMNS = 64 };

typedef struct es_fft {
    int32_t n_fft, n_rows, n_columns;
    int32_t used_rows;    /* input rows that are not all zero, as the first pass takes them */
    float *twiddle;       /* [n_rows/2 - 1][cos, sin][n_columns]: 2 pi k c / n_fft for row k = 1.. and column c */
    float *middle;        /* [n_columns/2][cos, sin][middle_width]: 2 pi c (n_rows/2 + n_rows k) / n_fft; see fft.c */
    int32_t middle_width; /* n_columns/2, or the lanes when those are more */
    float *re, *im;       /* [lanes][n_rows/2][n_columns] scratch between the passes; row 0 is real, its im stays 0 */
    float *middle_row;    /* [lanes][n_columns] scratch: row n_rows/2, which is real */
} es_fft;

/* For frames of `window_length` samples, the rest being zero, up to `lanes` of them at a time. */
void es_fft_init(es_fft *fft, int32_t n_fft, int32_t window_length, int32_t lanes, es_arena *arena);

#endif
