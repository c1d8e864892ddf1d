/* The FFT's shape and tables: n_fft = n_rows x n_columns, computed in two passes. Internal; fft_kernel.h computes. */
#ifndef ES_FFT_H
#define ES_FFT_H

#include "arena.h"

enum { ES_FFT_MAX_ROWS = 64, ES_FFT_MAX_COLUMNS = 64 };

typedef struct es_fft {
    int32_t n_fft, n_rows, n_columns;
    int32_t used_rows;    /* input rows that are not all zero, as the first pass takes them */
    float *twiddle;       /* [n_rows/2 - 1][cos, sin][n_columns]: 2 pi k c / n_fft for row k = 1.. and column c */
    float *middle;        /* [n_columns/2][cos, sin][middle_width]: 2 pi c (n_rows/2 + n_rows k) / n_fft; see fft.c */
    int32_t middle_width; /* n_columns/2, or the lanes when those are more */
    const float *block_twiddle, *block_middle; /* the same with every number `copies` times */
    /* Scratch between the passes, of one frame or, with the frames side by side in the last dimension, of `lanes`. */
    float *re, *im;             /* [n_rows/2][n_columns]; row 0 is real, its im stays 0 */
    float *middle_row;          /* [n_columns] row n_rows/2, which is real */
    float *block_rows;          /* [n_columns][n_rows/2][re, im][lanes], a vector between columns: they fall on other lines
                                 * of the cache, and what pass 1 stores lies together */
    float *block_middle_row;    /* [n_columns][lanes] */
} es_fft;

/* For frames of `window_length` samples, the rest being zero, up to `lanes` of them at a time. */
void es_fft_init(es_fft *fft, int32_t n_fft, int32_t window_length, int32_t lanes, int32_t copies, es_arena *arena);

#endif
