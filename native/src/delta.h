/* Regression over rows: rows in, the same rows with their slopes appended out, delta_window rows later. Internal. */
#ifndef ES_DELTA_H
#define ES_DELTA_H

#include <stdbool.h>

#include "arena.h"

typedef struct es_delta {
    size_t width_in;   /* columns in; out are width_in + n_slopes */
    size_t n_slopes;   /* slopes are taken of the last n_slopes columns */
    size_t n_side;     /* N, rows on either side */
    size_t received;   /* rows in so far */
    size_t emitted;    /* rows out so far */
    size_t block;      /* rows are received in blocks of so many, or less */
    size_t n_rows;     /* of the ring: 2N and a block, in whole blocks */
    float *ring;       /* the last rows in */
} es_delta;

void es_delta_init(es_delta *delta, size_t width_in, size_t n_slopes, size_t n_side, size_t block, es_arena *arena);
void es_delta_reset(es_delta *delta);

/* While no row is ready: where the next *n_rows rows go. es_delta_received counts in those that came. */
float *es_delta_slots(const es_delta *delta, size_t *n_rows);
void es_delta_received(es_delta *delta, size_t n_rows);

/* Whether the next row out can be computed: N rows follow it, or `ended` says that none will. */
bool es_delta_ready(const es_delta *delta, bool ended);

/* The next row out. */
void es_delta_emit(es_delta *delta, float *row);

#endif
