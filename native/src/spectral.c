/* The tables of the spectral stage. */
#include "spectral.h"

#include <string.h>

#include "tables.h"

static int32_t rounded_up(int32_t n, int32_t lanes)
{
    return (n + lanes - 1) / lanes * lanes;
}

static int32_t bands_in_group(int32_t lanes)
{
    return lanes < 4 ? lanes : 4;
}

/* Where the triangles of a group lie; bands beyond the last are empty. */
static es_band_group group_of(const es_options *o, int32_t lanes, int32_t group)
{
    const int32_t n = bands_in_group(lanes);
    es_band_group bands = {.n_vectors = 1};
    for (int32_t i = 0; i < n && n * group + i < o->n_mels; i++) {
        const es_triangle triangle = es_mel_triangle(o, n * group + i);
        const es_band band = es_mel_band(o, &triangle);
        const int32_t needed = rounded_up(band.n_bins, lanes) / lanes;
        bands.first_bin[i] = band.first_bin;
        bands.n_vectors = needed > bands.n_vectors ? needed : bands.n_vectors;
    }
    return bands;
}

static void fill_mel(const es_spectral *sp, const es_options *o)
{
    const int32_t lanes = sp->kernel->lanes, n = bands_in_group(lanes);
    float *weight = sp->mel_weights;
    for (int32_t group = 0; group < sp->n_groups; group++) {
        const es_band_group bands = sp->groups[group] = group_of(o, lanes, group);
        memset(weight, 0, (size_t)(bands.n_vectors * n * lanes) * sizeof *weight);
        for (int32_t i = 0; i < n && n * group + i < o->n_mels; i++) {
            const es_triangle triangle = es_mel_triangle(o, n * group + i);
            for (int32_t j = 0; j < bands.n_vectors * lanes && bands.first_bin[i] + j <= o->n_fft / 2; j++)
                weight[(j / lanes * n + i) * lanes + j % lanes] =
                    (float)es_mel_weight(o, &triangle, bands.first_bin[i] + j);
        }
        weight += bands.n_vectors * n * lanes;
    }
}

static void fill_dct(const es_spectral *sp, const es_options *o)
{
    memset(sp->dct_even, 0, (size_t)(sp->n_folded * sp->n_even) * sizeof(float));
    memset(sp->dct_odd, 0, (size_t)(sp->n_folded * sp->n_odd) * sizeof(float));
    for (int32_t c = 0; c < o->n_mfcc; c++) {
        float *table = c % 2 ? sp->dct_odd + c / 2 : sp->dct_even + c / 2;
        for (int32_t m = 0; m < (o->n_mels + 1) / 2; m++)
            table[m * (c % 2 ? sp->n_odd : sp->n_even)] = (float)es_dct_weight(o, c, m);
    }
}

void es_spectral_init(es_spectral *sp, const es_options *o, const es_kernel *kernel, es_arena *arena)
{
    const int32_t lanes = kernel->lanes;
    const int32_t n_groups = rounded_up(o->n_mels, lanes) / bands_in_group(lanes);
    int32_t n_weights = 0, reach = 0; /* reach: bins that are read from a band's first on */
    for (int32_t group = 0; group < n_groups; group++) {
        const int32_t n_bins = group_of(o, lanes, group).n_vectors * lanes;
        n_weights += bands_in_group(lanes) * n_bins;
        reach = n_bins > reach ? n_bins : reach;
    }
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
        .per_sample = 1.0f / (float)o->window_length,
        .frame_preemphasis = o->preemphasis_scope == ES_PER_FRAME ? o->preemphasis : 0.0f,
        .log_floor = o->log_floor,
        .log_unit = (float)es_log_unit(o),
        .power_scale = o->power_scale,
        .n_groups = n_groups,
        .n_folded = rounded_up((o->n_mels + 1) / 2, 2),
        .n_even = rounded_up((o->n_mfcc + 1) / 2, lanes),
        .n_odd = rounded_up((o->n_mfcc + 1) / 2, lanes),
    };
    es_fft_init(&sp->fft, o->n_fft, o->window_length, arena);
    sp->frame_length = sp->fft.used_rows * sp->fft.n_columns;
    sp->window = es_arena_zeros(arena, (size_t)sp->frame_length);
    sp->inside = es_arena_floats(arena, (size_t)lanes);
    sp->groups = es_arena_take(arena, (size_t)n_groups * sizeof(es_band_group));
    sp->mel_weights = es_arena_floats(arena, (size_t)n_weights);
    if (o->feature == ES_MFCC) {
        sp->folded_length = rounded_up(sp->n_folded, lanes);
        sp->dct_even = es_arena_floats(arena, (size_t)(sp->n_folded * sp->n_even));
        sp->dct_odd = es_arena_floats(arena, (size_t)(sp->n_folded * sp->n_odd));
        sp->folded = es_arena_zeros(arena, 2 * ES_BLOCK * (size_t)sp->folded_length);
        sp->cepstra = es_arena_floats(arena, ES_BLOCK * (size_t)(sp->n_even + sp->n_odd));
    }
    sp->frame = es_arena_zeros(arena, ES_BLOCK * (size_t)sp->frame_length);
    sp->power_length = rounded_up(o->n_fft / 2 + 1 + reach, ES_ALIGNMENT / (int32_t)sizeof(float));
    sp->power = es_arena_zeros(arena, ES_BLOCK * (size_t)sp->power_length);
    sp->log_mel_length = rounded_up(o->n_mels, lanes);
    sp->log_mel = es_arena_zeros(arena, ES_BLOCK * (size_t)sp->log_mel_length);
    if (!arena->base)
        return;

    es_fill_window(o, sp->window);
    for (int32_t i = 0; i < lanes; i++)
        sp->inside[i] = (o->window_length - 1) / lanes * lanes + i < o->window_length ? 1.0f : 0.0f;
    fill_mel(sp, o);
    if (o->feature == ES_MFCC)
        fill_dct(sp, o);
}
