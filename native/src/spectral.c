/* The tables of the spectral stage. */
#include "spectral.h"

#include <string.h>

#include "tables.h"

static const float max_scaled = 1e12f; /* its square times n_fft^2 is still a float */
static const float max_sample = 1e17f; /* the square of n_fft such samples is, too */

static int32_t rounded_up(int32_t n, int32_t lanes)
{
    return (n + lanes - 1) / lanes * lanes;
}

/* Bands in a group, and bins in a quad. */
static int32_t quad_of(int32_t lanes)
{
    return lanes < 4 ? lanes : 4;
}

/* Where the triangles of a group lie; bands beyond the last are empty. */
static es_band_group group_of(const es_options *o, int32_t quad, int32_t group)
{
    es_band_group bands = {.n_quads = 1};
    for (int32_t i = 0; i < quad && quad * group + i < o->n_mels; i++) {
        const es_triangle triangle = es_mel_triangle(o, quad * group + i);
        const es_band band = es_mel_band(o, &triangle);
        bands.first_bin[i] = band.first_bin;
        bands.n_quads_of[i] = rounded_up(band.n_bins, quad) / quad;
        if (bands.n_quads_of[i] > bands.n_quads)
            bands.n_quads = bands.n_quads_of[i];
    }
    return bands;
}

static void fill_mel(const es_spectral *sp, const es_options *o)
{
    const int32_t quad = quad_of(sp->kernel->lanes);
    float *weight = sp->mel_weights;
    for (int32_t group = 0; group < sp->n_groups; group++) {
        const es_band_group bands = sp->groups[group] = group_of(o, quad, group);
        memset(weight, 0, (size_t)(bands.n_quads * quad * quad) * sizeof *weight);
        for (int32_t i = 0; i < quad && quad * group + i < o->n_mels; i++) {
            const es_triangle triangle = es_mel_triangle(o, quad * group + i);
            for (int32_t j = 0; j < bands.n_quads * quad && bands.first_bin[i] + j <= o->n_fft / 2; j++)
                weight[(j / quad * quad + i) * quad + j % quad] =
                    (float)es_mel_weight(o, &triangle, bands.first_bin[i] + j);
        }
        weight += bands.n_quads * quad * quad;
    }
}

static int32_t common_measure(int32_t a, int32_t b)
{
    return b == 0 ? a : common_measure(b, a % b);
}

/* The longest pieces that frames share. Short ones cost more than they save. */
static es_pieces pieces_of(const es_options *o)
{
    enum { SHORTEST = 64 };
    const int32_t measure = common_measure(o->window_length, o->hop_length);
    es_pieces pieces = {
        .needed = o->remove_dc || o->energy == ES_ENERGY_RAW,
        .length = o->window_length,
        .distance = o->hop_length,
        .per_frame = 1,
        .per_hop = 1,
    };
    if (measure >= SHORTEST) {
        pieces.length = pieces.distance = measure;
        pieces.per_frame = o->window_length / measure;
        pieces.per_hop = o->hop_length / measure;
    }
    pieces.per_sample = 1.0f / (float)pieces.length;
    return pieces;
}

static es_columns columns_of(const es_options *o, const es_fft *fft, int32_t frame_length, int32_t lanes)
{
    es_columns columns = {.n_frames = lanes, .length = frame_length, .length_of_last = frame_length};
    if (o->hop_length % fft->n_columns == 0) {
        columns.n_frames = ES_BATCH;
        columns.length = o->hop_length;
        columns.n_more = (frame_length - 1) / o->hop_length;
        columns.length_of_last = frame_length - columns.n_more * o->hop_length;
    }
    columns.stride = rounded_up(columns.n_frames + columns.n_more, 4);
    return columns;
}

static void take_columns(es_columns *columns, const es_fft *fft, es_arena *arena)
{
    columns->row = es_arena_take(arena, (size_t)fft->used_rows * sizeof(int32_t));
    columns->samples = es_arena_zeros(arena, (size_t)(columns->length * columns->stride));
    columns->first = es_arena_zeros(arena, (size_t)columns->n_frames);
    columns->offset = es_arena_zeros(arena, (size_t)columns->n_frames);
    columns->energy = es_arena_zeros(arena, (size_t)columns->n_frames);
    for (int32_t i = 0; arena->base && i < fft->used_rows; i++) {
        const int32_t sample = i * fft->n_columns;
        columns->row[i] = sample % columns->length * columns->stride + sample / columns->length;
    }
}

static void add_part(es_spectral *sp, es_dct_part part, const es_options *o, es_arena *arena)
{
    const int32_t lanes = sp->kernel->lanes;
    if (o->n_mfcc <= part.first)
        return;
    part.n_cepstra = (o->n_mfcc - part.first + part.step - 1) / part.step;
    part.width = rounded_up(part.n_cepstra, lanes);
    const size_t n_weights = (size_t)(part.n_bands * part.width);
    part.weights = es_arena_zeros(arena, n_weights);
    for (int32_t m = 0; arena->base && m < part.n_bands; m++)
        for (int32_t c = 0; c < part.n_cepstra; c++)
            part.weights[m * part.width + c] = (float)es_dct_weight(o, part.first + part.step * c, m);
    part.block_weights = es_arena_copies(arena, part.weights, n_weights, sp->kernel->copies);
    sp->parts[sp->n_parts++] = part;
}

static void plan_dct(es_spectral *sp, const es_options *o, es_arena *arena)
{
    const int32_t n = o->n_mels, half = n / 2;
    if (n % 4 == 0 && o->n_mfcc > 32) { /* saves a vector of cepstra at every level, of one frame too */
        add_part(sp, (es_dct_part){.first = 0, .step = 4, .first_band = 0, .direction = 1, .n_bands = half / 2}, o, arena);
        add_part(sp, (es_dct_part){.first = 2, .step = 4, .first_band = half - 1, .direction = -1, .n_bands = half / 2},
                 o, arena);
    } else {
        add_part(sp, (es_dct_part){.first = 0, .step = 2, .first_band = 0, .direction = 1, .n_bands = n - half}, o, arena);
    }
    add_part(sp, (es_dct_part){.first = 1, .step = 2, .first_band = n - 1, .direction = -1, .n_bands = half}, o, arena);
}

/* Enough for a batch from each piece of its first frame on. */
static int32_t places_in_a_row(const es_pieces *pieces, int32_t batch)
{
    return (pieces->per_frame - 1) / pieces->per_hop + batch;
}

void es_spectral_init(es_spectral *sp, const es_options *o, const es_kernel *kernel, es_arena *arena)
{
    const int32_t lanes = kernel->lanes, batch = lanes > 1 ? ES_BATCH : 1, quad = quad_of(lanes), n_groups = rounded_up(o->n_mels, quad) / quad;
    int32_t n_weights = 0, reach = 0; /* reach: bins that are read from a band's first on */
    for (int32_t group = 0; group < n_groups; group++) {
        const int32_t n_bins = group_of(o, quad, group).n_quads * quad;
        n_weights += quad * n_bins;
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
        .frame_preemphasis = o->preemphasis_scope == ES_PER_FRAME ? o->preemphasis : 0.0f,
        .log_floor = o->log_floor,
        .log_unit = (float)es_log_unit(o),
        .power_scale = o->power_scale,
        .energy_scale = o->input_scale * o->input_scale,
        .sample_limit = max_scaled < max_sample * o->input_scale ? max_scaled / o->input_scale : max_sample,
        .n_groups = n_groups,
    };
    es_fft_init(&sp->fft, o->n_fft, o->window_length, lanes, kernel->copies, arena);
    sp->frame_length = sp->fft.used_rows * sp->fft.n_columns;
    sp->window = es_arena_zeros(arena, (size_t)sp->frame_length);
    sp->pieces = pieces_of(o);
    const int32_t n_pieces = (batch - 1) * sp->pieces.per_hop + sp->pieces.per_frame;
    const int32_t n_places = sp->pieces.per_hop * places_in_a_row(&sp->pieces, batch);
    sp->pieces.inside = es_arena_floats(arena, (size_t)lanes);
    sp->pieces.place = es_arena_take(arena, (size_t)n_pieces * sizeof(int32_t));
    sp->pieces.mean = es_arena_zeros(arena, (size_t)n_places);
    sp->pieces.spread = es_arena_zeros(arena, (size_t)n_places);
    sp->groups = es_arena_take(arena, (size_t)n_groups * sizeof(es_band_group));
    sp->mel_weights = es_arena_floats(arena, (size_t)n_weights);
    if (o->feature == ES_MFCC) {
        plan_dct(sp, o, arena);
        sp->cepstra = es_arena_zeros(arena, (size_t)(lanes * rounded_up(o->n_mfcc, lanes)));
        sp->part_length = rounded_up(o->n_mfcc, lanes) + 2 * lanes;
        sp->part_cepstra = es_arena_zeros(arena, 4 * (size_t)sp->part_length);
    }
    if (sp->frame_preemphasis != 0.0f)
        sp->emphasised = es_arena_zeros(arena, (size_t)(sp->frame_length + lanes));
    if (lanes > 1) {
        sp->columns = columns_of(o, &sp->fft, sp->frame_length, lanes);
        take_columns(&sp->columns, &sp->fft, arena);
    }
    sp->power = es_arena_zeros(arena, (size_t)(lanes * (o->n_fft / 2 + 1 + reach)));
    sp->log_mel = es_arena_zeros(arena, (size_t)(lanes * rounded_up(o->n_mels + 1, lanes)));
    if (arena->base) {
        es_fill_window(o, sp->window);
        for (int32_t i = 0; i < o->window_length; i++)
            sp->window[i] *= o->input_scale;
        fill_mel(sp, o);
    }
    sp->block_mel_weights = es_arena_copies(arena, sp->mel_weights, (size_t)n_weights, kernel->copies);
    sp->block_window = es_arena_copies(arena, sp->window, (size_t)sp->frame_length, kernel->copies);
    if (!arena->base)
        return;

    for (int32_t p = 0; p < n_pieces; p++)
        sp->pieces.place[p] =
            p % sp->pieces.per_hop * places_in_a_row(&sp->pieces, batch) + p / sp->pieces.per_hop;
    for (int32_t i = 0; i < lanes; i++)
        memset(sp->pieces.inside + i, (sp->pieces.length - 1) / lanes * lanes + i < sp->pieces.length ? 0xff : 0,
               sizeof(float));
}
