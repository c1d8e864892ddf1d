/* The hot code of the front end, once for each kind of processor: kernel_*.c define ES_LANES and ES_KERNEL_NAME and
 * include this file. Every stage works on one frame in the same way whether it comes alone or in a block, so streams
 * and batches give the same bits. */
#include <math.h>

#include "simd.h"
#include "spectral.h"

#include "fft_kernel.h"

static const float sample_limit = 1e12f; /* its square times n_fft^2 is still a float */

/* ---- samples ---- */

static size_t replace_bad(float *x, size_t n)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(x[i]) <= sample_limit)) { /* NaN fails every comparison */
            x[i] = 0.0f;
            bad++;
        }
    }
    return bad;
}

static size_t take_samples(const float *restrict samples, size_t n, float scale, float preemphasis, float *previous,
                           float *restrict out)
{
    /* The sum of squares tells whether any sample is bad: a NaN or an infinity stays in it, a large one shows. */
    const V factor = es_splat(scale);
    V squares[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
    float rest = 0.0f;
    size_t i = 0, bad = 0;
    for (; i + 4 * ES_LANES <= n; i += 4 * ES_LANES) {
        for (int j = 0; j < 4; j++) {
            const V x = es_load(samples + i + j * ES_LANES) * factor;
            squares[j] += x * x;
            es_store(out + i + j * ES_LANES, x);
        }
    }
    for (; i < n; i++) {
        out[i] = samples[i] * scale;
        rest += out[i] * out[i];
    }
    if (!(es_sum((squares[0] + squares[1]) + (squares[2] + squares[3])) + rest <= sample_limit * sample_limit))
        bad = replace_bad(out, n);
    if (preemphasis > 0.0f && n > 0) {
        const float last = out[n - 1];
        for (i = n - 1; i > 0; i--)
            out[i] -= preemphasis * out[i - 1];
        out[0] -= preemphasis * *previous;
        *previous = last;
    }
    return bad;
}

/* ---- window ---- */

/* Sums run in four strands, so that an addition need not wait for the one before. */
static inline float frame_mean(const es_spectral *sp, const float *samples)
{
    const int32_t last = (sp->window_length - 1) / ES_LANES * ES_LANES;
    V sum[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
    int32_t i = 0;
    for (; i + 4 * ES_LANES <= last; i += 4 * ES_LANES)
        for (int j = 0; j < 4; j++)
            sum[j] += es_load(samples + i + j * ES_LANES);
    for (; i < last; i += ES_LANES)
        sum[0] += es_load(samples + i);
    sum[1] += es_load(samples + last) * es_load_aligned(sp->inside);
    return es_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) * sp->per_sample;
}

/* frame = window * pre-emphasis of (samples - mean). Returns the energy of (samples - mean). */
static inline float prepare_frame(const es_spectral *sp, const float *restrict samples, float mean,
                                  float *restrict frame)
{
    const float *restrict window = sp->window;
    const V m = es_splat(mean), a = es_splat(sp->frame_preemphasis);
    const int32_t last = (sp->window_length - 1) / ES_LANES * ES_LANES;
    V energy[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
    V before = es_repeat_first(es_load(samples)); /* x[-1] = x[0] */
    int32_t i = 0;
    for (; i + 4 * ES_LANES <= last; i += 4 * ES_LANES) {
        for (int j = 0; j < 4; j++) {
            const int32_t k = i + j * ES_LANES;
            const V x = es_load(samples + k) - m;
            energy[j] += x * x;
            es_store_aligned(frame + k, (x - a * (before - m)) * es_load_aligned(window + k));
            before = es_load(samples + k + ES_LANES - 1);
        }
    }
    for (; i < last; i += ES_LANES) {
        const V x = es_load(samples + i) - m;
        energy[0] += x * x;
        es_store_aligned(frame + i, (x - a * (before - m)) * es_load_aligned(window + i));
        before = es_load(samples + i + ES_LANES - 1);
    }
    const V x = es_load(samples + last) - m;
    energy[1] += x * x * es_load_aligned(sp->inside);
    es_store_aligned(frame + last, (x - a * (before - m)) * es_load_aligned(window + last));
    return es_sum((energy[0] + energy[1]) + (energy[2] + energy[3]));
}

static float sum_of_squares(const float *x, int32_t n)
{
    V sum = es_splat(0.0f);
    for (int32_t i = 0; i < n; i += ES_LANES) {
        const V v = es_load_aligned(x + i);
        sum += v * v;
    }
    return es_sum(sum);
}

static float spectrum_energy(const es_spectral *sp, const float *power)
{
    const int32_t half = sp->fft.n_fft / 2;
    V sum = es_splat(0.0f);
    for (int32_t k = 0; k < half; k += ES_LANES)
        sum += es_load_aligned(power + k);
    return (es_sum(sum) + power[half]) * sp->power_scale;
}

static float floored_log(const es_spectral *sp, float energy)
{
    float lanes[ES_LANES];
    es_store(lanes, es_log_of(es_max(es_splat(energy), es_splat(sp->log_floor))));
    return lanes[0] * sp->log_unit;
}

/* ---- mel ---- */

/* Sums of weight * power over the bins of the ES_GROUP bands of a group, for each frame. */
static ES_INLINE void group_sums(const es_band_group *group, const int n_vectors, const float *restrict weights,
                                 const float *restrict power, ptrdiff_t power_length, const int n_frames, V *sums,
                                 ptrdiff_t stride)
{
    V s[ES_BLOCK][ES_GROUP];
    for (int f = 0; f < n_frames; f++)
        for (int i = 0; i < ES_GROUP; i++)
            s[f][i] = es_splat(0.0f);
    for (int v = 0; v < n_vectors; v++) {
        for (int i = 0; i < ES_GROUP; i++) {
            const V weight = es_load_aligned(weights + (v * ES_GROUP + i) * ES_LANES);
            for (int f = 0; f < n_frames; f++)
                s[f][i] += weight * es_load(power + f * power_length + group->first_bin[i] + v * ES_LANES);
        }
    }
    for (int f = 0; f < n_frames; f++)
        sums[f * stride] = es_group_sums(s[f]);
}

/* log_mel[f][m] = ln max(floor, sum of weight * power[f] over the bins of band m). */
static ES_INLINE void log_mel_bands(const es_spectral *sp, const int n_frames)
{
    const es_band_group *group = sp->groups;
    const float *restrict weights = sp->mel_weights, *restrict power = sp->power;
    float *restrict log_mel = sp->log_mel;
    const ptrdiff_t power_length = sp->power_length, log_mel_length = sp->log_mel_length;
    for (ptrdiff_t m = 0; m < log_mel_length; m += ES_LANES) {
        enum { GROUPS = ES_LANES / ES_GROUP };
        V sums[ES_BLOCK][GROUPS];
        for (int g = 0; g < GROUPS; g++, group++) {
            const int n_vectors = group->n_vectors;
            switch (n_vectors) { /* most bands span few vectors: those loops are unrolled */
            case 1:
                group_sums(group, 1, weights, power, power_length, n_frames, &sums[0][g], GROUPS);
                break;
            case 2:
                group_sums(group, 2, weights, power, power_length, n_frames, &sums[0][g], GROUPS);
                break;
            case 3:
                group_sums(group, 3, weights, power, power_length, n_frames, &sums[0][g], GROUPS);
                break;
            default:
                group_sums(group, n_vectors, weights, power, power_length, n_frames, &sums[0][g], GROUPS);
                break;
            }
            weights += n_vectors * ES_GROUP * ES_LANES;
        }
        for (int f = 0; f < n_frames; f++)
            es_store_aligned(log_mel + f * log_mel_length + m, es_join_groups(sums[f]));
    }
    const V floor = es_splat(sp->log_floor);
    for (ptrdiff_t m = 0; m < n_frames * log_mel_length; m += ES_LANES)
        es_store_aligned(log_mel + m, es_log_of(es_max(es_load_aligned(log_mel + m), floor)));
}

/* ---- cosine transform ---- */

/* Even cepstra see the sum of a band and its mirror image, odd ones the difference: half the products. */
static void fold_bands(const es_spectral *sp, const float *log_mel, float *sums, float *differences)
{
    const int32_t n = sp->n_mels, half = n / 2;
    int32_t m = 0;
    for (; m + ES_LANES <= half; m += ES_LANES) {
        const V low = es_load_aligned(log_mel + m), high = es_reverse(es_load(log_mel + n - ES_LANES - m));
        es_store_aligned(sums + m, low + high);
        es_store_aligned(differences + m, low - high);
    }
    for (; m < half; m++) {
        sums[m] = log_mel[m] + log_mel[n - 1 - m];
        differences[m] = log_mel[m] - log_mel[n - 1 - m];
    }
    if (n % 2) {
        sums[half] = log_mel[half];
        differences[half] = 0.0f;
    }
}

static inline void copy_floats(const float *restrict from, int32_t n, float *restrict to)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4)
        memcpy(to + i, from + i, 4 * sizeof *to);
    for (; i < n; i++)
        to[i] = from[i];
}

/* Rows of cepstra from sp->log_mel; row f goes to rows + f * n_static. */
static ES_INLINE void cepstra_of(const es_spectral *sp, const int n_frames, float *rows)
{
    const int32_t n = sp->n_folded, width = sp->n_even, folded_length = sp->folded_length;
    const float *restrict folded = sp->folded, *restrict even_weights = sp->dct_even, *restrict odd_weights = sp->dct_odd;
    for (int f = 0; f < n_frames; f++)
        fold_bands(sp, sp->log_mel + f * sp->log_mel_length, sp->folded + 2 * f * sp->folded_length,
                   sp->folded + (2 * f + 1) * sp->folded_length);
    for (int32_t c = 0; c < width; c += ES_LANES) {
        V even[ES_BLOCK][2], odd[ES_BLOCK][2]; /* in two strands */
        for (int f = 0; f < n_frames; f++)
            even[f][0] = even[f][1] = odd[f][0] = odd[f][1] = es_splat(0.0f);
        for (int32_t m = 0; m < n; m += 2) {
            for (int j = 0; j < 2; j++) {
                const V even_weight = es_load_aligned(even_weights + (m + j) * width + c);
                const V odd_weight = es_load_aligned(odd_weights + (m + j) * width + c);
                for (int f = 0; f < n_frames; f++) {
                    even[f][j] += es_splat(folded[2 * f * folded_length + m + j]) * even_weight;
                    odd[f][j] += es_splat(folded[(2 * f + 1) * folded_length + m + j]) * odd_weight;
                }
            }
        }
        for (int f = 0; f < n_frames; f++) {
            const V e = even[f][0] + even[f][1], o = odd[f][0] + odd[f][1];
            float *cepstra = sp->cepstra + f * 2 * width + 2 * c;
            es_store_aligned(cepstra, es_zip_low(e, o));
            es_store_aligned(cepstra + ES_LANES, es_zip_high(e, o));
        }
    }
    for (int f = 0; f < n_frames; f++)
        copy_floats(sp->cepstra + f * 2 * width, sp->n_mfcc, rows + f * sp->n_static);
}

/* ---- rows ---- */

static ES_INLINE void rows_of(es_spectral *sp, const float *samples, const int n_frames, float *rows)
{
    float mean[ES_BLOCK], energy[ES_BLOCK];
    for (int f = 0; f < n_frames; f++)
        mean[f] = sp->remove_dc ? frame_mean(sp, samples + f * sp->hop_length) : 0.0f;
    for (int f = 0; f < n_frames; f++) {
        float *frame = sp->frame + f * sp->frame_length;
        energy[f] = prepare_frame(sp, samples + f * sp->hop_length, mean[f], frame);
        if (sp->energy == ES_ENERGY_WINDOWED)
            energy[f] = sum_of_squares(frame, sp->frame_length);
    }
    fft_power(&sp->fft, n_frames, sp->frame, sp->power, sp->power_length);
    if (sp->energy == ES_ENERGY_SPECTRUM)
        for (int f = 0; f < n_frames; f++)
            energy[f] = spectrum_energy(sp, sp->power + f * sp->power_length);
    log_mel_bands(sp, n_frames);
    if (sp->feature == ES_MFCC)
        cepstra_of(sp, n_frames, rows);
    else
        for (int f = 0; f < n_frames; f++)
            for (int32_t m = 0; m < sp->n_mels; m++)
                rows[f * sp->n_static + m] = sp->log_unit * sp->log_mel[f * sp->log_mel_length + m];
    if (sp->energy != ES_ENERGY_NONE)
        for (int f = 0; f < n_frames; f++)
            rows[f * sp->n_static + (sp->feature == ES_MFCC ? 0 : sp->n_mels)] = floored_log(sp, energy[f]);
}

static void static_rows(es_spectral *sp, const float *samples, size_t n_frames, float *rows)
{
    const size_t hop = (size_t)sp->hop_length, width = (size_t)sp->n_static;
    size_t f = 0;
    for (; f + ES_BLOCK <= n_frames; f += ES_BLOCK)
        rows_of(sp, samples + f * hop, ES_BLOCK, rows + f * width);
    for (; f < n_frames; f++)
        rows_of(sp, samples + f * hop, 1, rows + f * width);
}

/* ---- mean over rows ---- */

/* Rows are taken as one long vector; after `width` vectors the columns fall on the same lanes again. So `pattern`, of
 * that length, first gathers sums (in float over a short stretch, then in double) and in the end holds the means. */
static void subtract_mean(float *restrict rows, size_t n_rows, size_t width, double *restrict sum,
                          float *restrict pattern)
{
    enum { STRETCH = 16 };
    const size_t n = n_rows * width, period = width * ES_LANES, whole = n / period * period;
    for (size_t c = 0; c < width; c++)
        sum[c] = 0.0;
    for (size_t start = 0; start < whole; start += STRETCH * period) {
        const size_t end = start + STRETCH * period < whole ? start + STRETCH * period : whole;
        memcpy(pattern, rows + start, period * sizeof *pattern);
        for (size_t i = start + period; i < end; i += period)
            for (size_t j = 0; j < period; j += ES_LANES)
                es_store_aligned(pattern + j, es_load_aligned(pattern + j) + es_load(rows + i + j));
        for (size_t j = 0; j < period; j += width)
            for (size_t c = 0; c < width; c++)
                sum[c] += (double)pattern[j + c];
    }
    for (size_t i = whole; i < n; i++)
        sum[i % width] += (double)rows[i];

    for (size_t j = 0; j < period; j++)
        pattern[j] = (float)(sum[j % width] / (double)n_rows);
    for (size_t i = 0; i < whole; i += period)
        for (size_t j = 0; j < period; j += ES_LANES)
            es_store(rows + i + j, es_load(rows + i + j) - es_load_aligned(pattern + j));
    for (size_t i = whole; i < n; i++)
        rows[i] -= pattern[i % width];
}

#define ES_JOINED(a, b) a##b
#define ES_KERNEL_VARIABLE(name) ES_JOINED(es_kernel_, name)
#define ES_TEXT(a) #a
#define ES_TEXT_OF(a) ES_TEXT(a)
const es_kernel ES_KERNEL_VARIABLE(ES_KERNEL_NAME) = {ES_TEXT_OF(ES_KERNEL_NAME), ES_LANES, static_rows, take_samples,
                                                     subtract_mean};
