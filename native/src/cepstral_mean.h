/* Mean and variance normalisation of rows, over a whole utterance or a sliding window. Internal. */
#ifndef ES_CEPSTRAL_MEAN_H
#define ES_CEPSTRAL_MEAN_H

#include "arena.h"

typedef struct es_column_sums {
    size_t width;
    int variance;   /* whether rows are divided by the standard deviation, too */
    double *sum;    /* [width] */
    double *square; /* [width] */
    float *mean;    /* [width] */
    float *factor;  /* [width] 1 / standard deviation */
} es_column_sums;

void es_column_sums_init(es_column_sums *sums, size_t width, int variance, es_arena *arena);

/* Normalises every column over all rows. */
void es_normalize_utterance(es_column_sums *sums, float *rows, size_t n_rows);

typedef struct es_sliding {
    es_column_sums *sums; /* over the ring */
    size_t n_rows;        /* of the window */
    size_t seen;          /* rows so far */
    float *ring;          /* [n_rows][width] the last rows, as they came */
} es_sliding;

void es_sliding_init(es_sliding *sliding, es_column_sums *sums, size_t n_rows, es_arena *arena);
void es_sliding_reset(es_sliding *sliding);

/* Normalises one row by the window that ends with it. */
void es_sliding_row(es_sliding *sliding, float *row);

#endif
