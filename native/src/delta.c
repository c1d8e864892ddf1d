/* Slope of the regression line over 2N + 1 rows: d = sum_k k (x[t+k] - x[t-k]) / (2 sum_k k^2), k = 1..N; beyond the
 * first and last row the edge row is repeated (HTK Book 5.9; the same in Kaldi and python_speech_features). */
#include "delta.h"

#include <string.h>

void es_delta_init(es_delta *delta, size_t width_in, size_t n_slopes, size_t n_side, size_t block, es_arena *arena)
{
    *delta = (es_delta){.width_in = width_in, .n_slopes = n_slopes, .n_side = n_side, .block = block};
    delta->n_rows = (2 * n_side + block - 1) / block * block + block;
    delta->ring = es_arena_floats(arena, delta->n_rows * width_in);
}

void es_delta_reset(es_delta *delta)
{
    delta->received = delta->emitted = 0;
}

static float *ring_row(const es_delta *delta, size_t index)
{
    return delta->ring + index % delta->n_rows * delta->width_in;
}

float *es_delta_slots(const es_delta *delta, size_t *n_rows)
{
    *n_rows = delta->block - delta->received % delta->block;
    return ring_row(delta, delta->received);
}

void es_delta_received(es_delta *delta, size_t n_rows)
{
    delta->received += n_rows;
}

bool es_delta_ready(const es_delta *delta, bool ended)
{
    return delta->emitted + delta->n_side < delta->received || (ended && delta->emitted < delta->received);
}

void es_delta_emit(es_delta *delta, float *row)
{
    const size_t center = delta->emitted++, last = delta->received - 1;
    memcpy(row, ring_row(delta, center), delta->width_in * sizeof *row);
    float *slope = row + delta->width_in;
    memset(slope, 0, delta->n_slopes * sizeof *slope);
    float norm = 0.0f;
    for (size_t k = 1; k <= delta->n_side; k++) {
        const size_t first_slope = delta->width_in - delta->n_slopes;
        const float *before = ring_row(delta, center > k ? center - k : 0) + first_slope;
        const float *after = ring_row(delta, center + k < last ? center + k : last) + first_slope;
        for (size_t i = 0; i < delta->n_slopes; i++)
            slope[i] += (float)k * (after[i] - before[i]);
        norm += 2.0f * (float)(k * k);
    }
    for (size_t i = 0; i < delta->n_slopes; i++)
        slope[i] /= norm;
}
