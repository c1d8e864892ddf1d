/* Mean and variance normalisation of rows, over a whole utterance or a sliding window. Internal. */
#ifndef ES_CEPSTRAL_MEAN_H
#define ES_CEPSTRAL_MEAN_H

#include "arena.h"

/* Subtracts the mean of each column over all rows, and with `variance` divides by the standard deviation. */
void es_normalize_utterance(float *rows, size_t n_rows, size_t width, int variance);

typedef struct es_sliding {
    size_t width;
    size_t n_rows; /* of the window */
    int variance;
    size_t seen;    /* rows so far */
    float *ring;    /* [n_rows][width] the last rows, as they came */
    double *sum;    /* [width] over the ring */
    double *square; /* [width] */
} es_sliding;

void es_sliding_init(es_sliding *sliding, size_t width, size_t n_rows, int variance, es_arena *arena);
void es_sliding_reset(es_sliding *sliding);

/* Normalises one row by the window that ends with it. */
void es_sliding_row(es_sliding *sliding, float *row);

#endif
