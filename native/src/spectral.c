/* The tables of the spectral stage. */
#include "spectral.h"

#include <string.h>

#include "tables.h"

static int32_t rounded_up(int32_t n, int32_t lanes)
{
    return (n + lanes - 1) / lanes * lanes;
}

/* Sizes of the band groups; fills groups and first_bins unless they are NULL. Returns the floats of all weights, and
 * in *max_reach how many power bins the kernel reads from the last first bin on. */
static size_t plan_bands(const es_options *o, int32_t lanes, es_band_group *groups, int32_t *first_bins,
                         int32_t *max_reach)
{
    size_t n_weights = 0;
    *max_reach = 0;
    for (int32_t start = 0; start < o->n_mels; start += lanes) {
        int32_t n_vectors = 1;
        for (int32_t m = start; m < start + lanes && m < o->n_mels; m++) {
            const es_triangle triangle = es_mel_triangle(o, m);
            const es_band band = es_mel_band(o, &triangle);
            const int32_t needed = rounded_up(band.n_bins, lanes) / lanes;
            n_vectors = needed > n_vectors ? needed : n_vectors;
            if (first_bins)
                first_bins[m] = band.first_bin;
        }
        if (groups)
            groups[start / lanes].n_vectors = n_vectors;
        *max_reach = n_vectors * lanes > *max_reach ? n_vectors * lanes : *max_reach;
        n_weights += (size_t)(n_vectors * lanes * lanes);
    }
    return n_weights;
}

static void fill_mel_weights(const es_spectral *sp, const es_options *o)
{
    const int32_t lanes = sp->kernel->lanes;
    float *weight = sp->mel_weights;
    for (int32_t start = 0; start < o->n_mels; start += lanes) {
        const int32_t n_vectors = sp->groups[start / lanes].n_vectors;
        for (int32_t i = 0; i < lanes; i++) {
            const int32_t m = start + i;
            if (m >= o->n_mels) {
                for (int32_t v = 0; v < n_vectors; v++)
                    memset(weight + (v * lanes + i) * lanes, 0, (size_t)lanes * sizeof *weight);
                continue;
            }
            const es_triangle triangle = es_mel_triangle(o, m);
            for (int32_t j = 0; j < n_vectors * lanes; j++) {
                const int32_t bin = sp->first_bins[m] + j;
                weight[(j / lanes * lanes + i) * lanes + j % lanes] =
                    bin <= o->n_fft / 2 ? (float)es_mel_weight(o, &triangle, bin) : 0.0f;
            }
        }
        weight += n_vectors * lanes * lanes;
    }
}

static void fill_dct(const es_spectral *sp, const es_options *o)
{
    memset(sp->dct_even, 0, (size_t)(sp->n_folded * sp->n_even) * sizeof(float));
    memset(sp->dct_odd, 0, (size_t)(sp->n_folded * sp->n_odd) * sizeof(float));
    for (int32_t c = 0; c < o->n_mfcc; c++) {
        float *table = c % 2 ? sp->dct_odd + c / 2 : sp->dct_even + c / 2;
        for (int32_t m = 0; m < sp->n_folded; m++)
            table[m * (c % 2 ? sp->n_odd : sp->n_even)] = (float)es_dct_weight(o, c, m);
    }
}

void es_spectral_init(es_spectral *sp, const es_options *o, const es_kernel *kernel, es_arena *arena)
{
    const int32_t lanes = kernel->lanes;
    int32_t reach;
    const size_t n_weights = plan_bands(o, lanes, NULL, NULL, &reach);
    const int32_t n_groups = rounded_up(o->n_mels, lanes) / lanes;
    *sp = (es_spectral){
        .kernel = kernel,
        .window_length = o->window_length,
        .hop_length = o->hop_length,
        .n_mels = o->n_mels,
        .n_mfcc = o->n_mfcc,
        .n_static = o->feature == ES_MFCC ? o->n_mfcc : o->n_mels + (o->energy != ES_ENERGY_NONE),
        .feature = o->feature,
        .energy = o->energy,
        .remove_dc = o->remove_dc,
        .frame_preemphasis = o->preemphasis_scope == ES_PER_FRAME ? o->preemphasis : 0.0f,
        .log_floor = o->log_floor,
        .log_unit = (float)es_log_unit(o),
        .power_scale = o->power_scale,
        .n_folded = (o->n_mels + 1) / 2,
        .n_even = rounded_up((o->n_mfcc + 1) / 2, lanes),
        .n_odd = rounded_up((o->n_mfcc + 1) / 2, lanes),
    };
    es_fft_init(&sp->fft, o->n_fft, o->window_length, arena);
    sp->frame_length = sp->fft.used_rows * sp->fft.n_columns;
    sp->window = es_arena_floats(arena, (size_t)sp->frame_length);
    sp->inside = es_arena_floats(arena, (size_t)lanes);
    sp->first_bins = es_arena_take(arena, (size_t)o->n_mels * sizeof(int32_t));
    sp->groups = es_arena_take(arena, (size_t)n_groups * sizeof(es_band_group));
    sp->mel_weights = es_arena_floats(arena, n_weights);
    if (o->feature == ES_MFCC) {
        sp->dct_even = es_arena_floats(arena, (size_t)(sp->n_folded * sp->n_even));
        sp->dct_odd = es_arena_floats(arena, (size_t)(sp->n_folded * sp->n_odd));
        sp->folded = es_arena_floats(arena, 2 * (size_t)rounded_up(sp->n_folded, lanes));
        sp->cepstra = es_arena_floats(arena, (size_t)(sp->n_even + sp->n_odd));
    }
    sp->frame = es_arena_floats(arena, (size_t)sp->frame_length);
    const size_t power_length = (size_t)(o->n_fft / 2 + 1 + reach);
    sp->power = es_arena_floats(arena, power_length);
    const size_t log_mel_length = ES_BLOCK * (size_t)rounded_up(o->n_mels, lanes);
    sp->log_mel = es_arena_floats(arena, log_mel_length);
    if (!arena->base)
        return;

    memset(sp->window, 0, (size_t)sp->frame_length * sizeof(float));
    es_fill_window(o, sp->window);
    for (int32_t i = 0; i < lanes; i++)
        sp->inside[i] = (o->window_length - 1) / lanes * lanes + i < o->window_length ? 1.0f : 0.0f;
    plan_bands(o, lanes, sp->groups, sp->first_bins, &reach);
    fill_mel_weights(sp, o);
    if (o->feature == ES_MFCC)
        fill_dct(sp, o);
    memset(sp->frame, 0, (size_t)sp->frame_length * sizeof(float));
    memset(sp->power, 0, power_length * sizeof(float));
    memset(sp->log_mel, 0, log_mel_length * sizeof(float));
}
