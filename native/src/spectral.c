/* The spectral stage: one frame of samples in, one static row out. */
#include "spectral.h"

#include <math.h>
#include <string.h>

#include "fft.h"

static const float sample_limit = 1e12f; /* its square times n_fft^2 is still a float */

void es_spectral_init(es_spectral *sp, const es_options *o, es_arena *arena)
{
    int32_t n_weights = 0;
    for (int32_t m = 0; m < o->n_mels; m++) {
        const es_triangle triangle = es_mel_triangle(o, m);
        n_weights += es_mel_band(o, &triangle).n_bins;
    }
    *sp = (es_spectral){
        .window_length = o->window_length,
        .hop_length = o->hop_length,
        .n_fft = o->n_fft,
        .n_mels = o->n_mels,
        .n_mfcc = o->n_mfcc,
        .feature = o->feature,
        .energy = o->energy,
        .remove_dc = o->remove_dc,
        .frame_preemphasis = o->preemphasis_scope == ES_PER_FRAME ? o->preemphasis : 0.0f,
        .log_floor = o->log_floor,
        .log_unit = (float)es_log_unit(o),
        .power_scale = o->power_scale,
        .window = es_arena_floats(arena, (size_t)o->window_length),
        .twiddle = es_arena_floats(arena, (size_t)o->n_fft),
        .bands = es_arena_take(arena, (size_t)o->n_mels * sizeof(es_band)),
        .mel_weights = es_arena_floats(arena, (size_t)n_weights),
        .dct = es_arena_floats(arena, (size_t)o->n_mfcc * (size_t)o->n_mels),
        .frame = es_arena_floats(arena, (size_t)o->n_fft),
        .power = es_arena_floats(arena, (size_t)o->n_fft / 2 + 1),
        .log_mel = es_arena_floats(arena, (size_t)o->n_mels),
    };
    sp->n_static = o->feature == ES_MFCC ? o->n_mfcc : o->n_mels + (o->energy != ES_ENERGY_NONE);
    if (!arena->base)
        return;

    es_fill_window(o, sp->window);
    es_fft_fill_twiddle(o->n_fft, sp->twiddle);
    float *weight = sp->mel_weights;
    for (int32_t m = 0; m < o->n_mels; m++) {
        const es_triangle triangle = es_mel_triangle(o, m);
        sp->bands[m] = es_mel_band(o, &triangle);
        for (int32_t i = 0; i < sp->bands[m].n_bins; i++)
            *weight++ = (float)es_mel_weight(o, &triangle, sp->bands[m].first_bin + i);
    }
    if (o->feature == ES_MFCC)
        for (int32_t c = 0; c < o->n_mfcc; c++)
            for (int32_t m = 0; m < o->n_mels; m++)
                sp->dct[c * o->n_mels + m] = (float)es_dct_weight(o, c, m);
}

static float floored_log(const es_spectral *sp, float energy)
{
    return logf(energy > sp->log_floor ? energy : sp->log_floor);
}

static float sum_of_squares(const float *x, int32_t n)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return sum;
}

/* Mean, pre-emphasis and window; returns the energy that the options ask for (before the spectrum). */
static float prepare_frame(es_spectral *sp, const float *samples)
{
    const int32_t n = sp->window_length;
    float *frame = sp->frame;
    memcpy(frame, samples, (size_t)n * sizeof *frame);
    memset(frame + n, 0, (size_t)(sp->n_fft - n) * sizeof *frame);
    if (sp->remove_dc) {
        float sum = 0.0f;
        for (int32_t i = 0; i < n; i++)
            sum += frame[i];
        const float mean = sum / (float)n;
        for (int32_t i = 0; i < n; i++)
            frame[i] -= mean;
    }
    const float raw = sp->energy == ES_ENERGY_RAW ? sum_of_squares(frame, n) : 0.0f;
    if (sp->frame_preemphasis > 0.0f) {
        for (int32_t i = n - 1; i > 0; i--)
            frame[i] -= sp->frame_preemphasis * frame[i - 1];
        frame[0] -= sp->frame_preemphasis * frame[0];
    }
    for (int32_t i = 0; i < n; i++)
        frame[i] *= sp->window[i];
    return sp->energy == ES_ENERGY_WINDOWED ? sum_of_squares(frame, n) : raw;
}

static void static_row(es_spectral *sp, const float *samples, float *row)
{
    float energy = prepare_frame(sp, samples);
    es_fft_power(sp->n_fft, sp->twiddle, sp->frame, sp->power);
    if (sp->energy == ES_ENERGY_SPECTRUM) {
        energy = 0.0f;
        for (int32_t k = 0; k <= sp->n_fft / 2; k++)
            energy += sp->power[k];
        energy *= sp->power_scale;
    }

    const float *weight = sp->mel_weights;
    for (int32_t m = 0; m < sp->n_mels; m++) {
        const float *power = sp->power + sp->bands[m].first_bin;
        float sum = 0.0f;
        for (int32_t i = 0; i < sp->bands[m].n_bins; i++)
            sum += power[i] * weight[i];
        weight += sp->bands[m].n_bins;
        sp->log_mel[m] = floored_log(sp, sum);
    }

    if (sp->feature == ES_LOG_MEL) {
        for (int32_t m = 0; m < sp->n_mels; m++)
            row[m] = sp->log_unit * sp->log_mel[m];
        if (sp->energy != ES_ENERGY_NONE)
            row[sp->n_mels] = sp->log_unit * floored_log(sp, energy);
        return;
    }
    for (int32_t c = 0; c < sp->n_mfcc; c++) {
        float sum = 0.0f;
        for (int32_t m = 0; m < sp->n_mels; m++)
            sum += sp->dct[c * sp->n_mels + m] * sp->log_mel[m];
        row[c] = sum;
    }
    if (sp->energy != ES_ENERGY_NONE)
        row[0] = sp->log_unit * floored_log(sp, energy);
}

void es_spectral_rows(es_spectral *sp, const float *samples, size_t n_frames, float *rows)
{
    for (size_t f = 0; f < n_frames; f++)
        static_row(sp, samples + f * (size_t)sp->hop_length, rows + f * (size_t)sp->n_static);
}

size_t es_take_samples(const float *samples, size_t n, float scale, float preemphasis, float *previous, float *out)
{
    size_t bad = 0;
    float last = *previous;
    for (size_t i = 0; i < n; i++) {
        float x = samples[i] * scale;
        if (!(fabsf(x) <= sample_limit)) { /* NaN fails every comparison */
            x = 0.0f;
            bad++;
        }
        out[i] = x - preemphasis * last;
        last = x;
    }
    *previous = last;
    return bad;
}
