/* The FFT's shape and tables: n_fft = n_rows x n_columns, computed in two passes. Internal; fft_kernel.h computes. */
#ifndef ES_FFT_H
#define ES_FFT_H

#include "arena.h"

enum {
    ES_BLOCK = 2, /* frames that are computed together at most: what one waits for hides behind the other */
    ES_FFT_MAX_COLUMNS = 64
};

typedef struct es_fft {
    int32_t n_fft, n_rows, n_columns;
    int32_t used_rows; /* input rows that are not all zero, as the first pass takes them */
    float *twiddle;    /* [n_rows/2 - 1][cos, sin][n_columns]: 2 pi k c / n_fft for row k = 1.. and column c */
    float *middle;     /* [n_columns/2][cos, sin of n_columns/2]: 2 pi c (n_rows/2 + n_rows k) / n_fft; see fft.c */
    float *re, *im;    /* [ES_BLOCK][n_rows/2][n_columns] scratch between the passes */
    float *middle_row; /* [ES_BLOCK][n_columns] scratch: row n_rows/2, which is real */
} es_fft;

/* For frames of `window_length` samples, the rest being zero. */
void es_fft_init(es_fft *fft, int32_t n_fft, int32_t window_length, es_arena *arena);

#endif
