/* Sums are kept in double: rows are added and taken away again for hours without drift. */
#include "cepstral_mean.h"

#include <math.h>
#include <string.h>

static const double variance_floor = 1e-10; /* a constant column stays 0 instead of becoming noise */

static float normalized(float value, double sum, double square, double n, int variance)
{
    const double mean = sum / n;
    const double centred = value - mean;
    if (!variance)
        return (float)centred;
    const double spread = square / n - mean * mean;
    return (float)(centred / sqrt(spread > variance_floor ? spread : variance_floor));
}

void es_normalize_utterance(float *rows, size_t n_rows, size_t width, int variance)
{
    for (size_t column = 0; column < width; column++) {
        double sum = 0.0, square = 0.0;
        for (size_t t = 0; t < n_rows; t++) {
            const double value = rows[t * width + column];
            sum += value;
            square += value * value;
        }
        for (size_t t = 0; t < n_rows; t++)
            rows[t * width + column] = normalized(rows[t * width + column], sum, square, (double)n_rows, variance);
    }
}

void es_sliding_init(es_sliding *sliding, size_t width, size_t n_rows, int variance, es_arena *arena)
{
    *sliding = (es_sliding){.width = width, .n_rows = n_rows, .variance = variance};
    sliding->ring = es_arena_floats(arena, n_rows * width);
    sliding->sum = es_arena_take(arena, width * sizeof(double));
    sliding->square = es_arena_take(arena, width * sizeof(double));
}

void es_sliding_reset(es_sliding *sliding)
{
    sliding->seen = 0;
    memset(sliding->sum, 0, sliding->width * sizeof(double));
    memset(sliding->square, 0, sliding->width * sizeof(double));
}

void es_sliding_row(es_sliding *sliding, float *row)
{
    float *oldest = sliding->ring + sliding->seen % sliding->n_rows * sliding->width;
    const int full = sliding->seen >= sliding->n_rows;
    sliding->seen++;
    const double n = (double)(full ? sliding->n_rows : sliding->seen);
    for (size_t i = 0; i < sliding->width; i++) {
        const double in = row[i], out = full ? oldest[i] : 0.0;
        oldest[i] = row[i];
        sliding->sum[i] += in - out;
        sliding->square[i] += in * in - out * out;
        row[i] = normalized(row[i], sliding->sum[i], sliding->square[i], n, sliding->variance);
    }
}
