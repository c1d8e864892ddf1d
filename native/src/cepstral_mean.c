/* Sums are kept in double: rows are added and taken away again for hours without drift. */
#include "cepstral_mean.h"

#include <math.h>
#include <string.h>

static const double variance_floor = 1e-10; /* a constant column stays 0 instead of becoming noise */

void es_column_sums_init(es_column_sums *sums, size_t width, int variance, es_arena *arena)
{
    *sums = (es_column_sums){.width = width, .variance = variance};
    sums->sum = es_arena_take(arena, width * sizeof(double));
    sums->square = es_arena_take(arena, width * sizeof(double));
    sums->mean = es_arena_floats(arena, width);
    sums->factor = es_arena_floats(arena, width);
}

static void clear(es_column_sums *sums)
{
    memset(sums->sum, 0, sums->width * sizeof(double));
    memset(sums->square, 0, sums->width * sizeof(double));
}

static void add_row(es_column_sums *sums, const float *restrict row)
{
    double *restrict sum = sums->sum, *restrict square = sums->square;
    for (size_t i = 0; i < sums->width; i++)
        sum[i] += (double)row[i];
    if (sums->variance)
        for (size_t i = 0; i < sums->width; i++)
            square[i] += (double)row[i] * (double)row[i];
}

static void take_row_away(es_column_sums *sums, const float *restrict row)
{
    double *restrict sum = sums->sum, *restrict square = sums->square;
    for (size_t i = 0; i < sums->width; i++)
        sum[i] -= (double)row[i];
    if (sums->variance)
        for (size_t i = 0; i < sums->width; i++)
            square[i] -= (double)row[i] * (double)row[i];
}

/* Mean and factor of the n rows that the sums are over. */
static void settle(es_column_sums *sums, size_t n_rows)
{
    const double share = 1.0 / (double)n_rows;
    for (size_t i = 0; i < sums->width; i++)
        sums->mean[i] = (float)(sums->sum[i] * share);
    if (!sums->variance)
        return;
    for (size_t i = 0; i < sums->width; i++) {
        const double mean = sums->sum[i] * share, spread = sums->square[i] * share - mean * mean;
        sums->factor[i] = (float)(1.0 / sqrt(spread > variance_floor ? spread : variance_floor));
    }
}

static void normalize_row(const es_column_sums *sums, float *restrict row)
{
    const float *restrict mean = sums->mean, *restrict factor = sums->factor;
    for (size_t i = 0; i < sums->width; i++)
        row[i] -= mean[i];
    if (sums->variance)
        for (size_t i = 0; i < sums->width; i++)
            row[i] *= factor[i];
}

void es_normalize_utterance(es_column_sums *sums, float *rows, size_t n_rows)
{
    clear(sums);
    for (size_t t = 0; t < n_rows; t++)
        add_row(sums, rows + t * sums->width);
    settle(sums, n_rows);
    for (size_t t = 0; t < n_rows; t++)
        normalize_row(sums, rows + t * sums->width);
}

void es_sliding_init(es_sliding *sliding, es_column_sums *sums, size_t n_rows, es_arena *arena)
{
    *sliding = (es_sliding){.sums = sums, .n_rows = n_rows};
    sliding->ring = es_arena_floats(arena, n_rows * sums->width);
}

void es_sliding_reset(es_sliding *sliding)
{
    sliding->seen = 0;
    clear(sliding->sums);
}

void es_sliding_row(es_sliding *sliding, float *row)
{
    es_column_sums *sums = sliding->sums;
    float *oldest = sliding->ring + sliding->seen % sliding->n_rows * sums->width;
    const int full = sliding->seen >= sliding->n_rows;
    sliding->seen++;
    if (full)
        take_row_away(sums, oldest);
    memcpy(oldest, row, sums->width * sizeof *row);
    add_row(sums, row);
    settle(sums, full ? sliding->n_rows : sliding->seen);
    normalize_row(sums, row);
}
