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

static size_t take_samples(const float *samples, size_t n, float scale, float preemphasis, float *previous, float *out)
{
    /* The sum of squares tells whether any sample is bad: a NaN or an infinity stays in it, a large one shows. */
    const V factor = es_splat(scale);
    V squares = es_splat(0.0f);
    float rest = 0.0f;
    size_t i = 0, bad = 0;
    for (; i + ES_LANES <= n; i += ES_LANES) {
        const V x = es_load(samples + i) * factor;
        squares += x * x;
        es_store(out + i, x);
    }
    for (; i < n; i++) {
        out[i] = samples[i] * scale;
        rest += out[i] * out[i];
    }
    if (!(es_sum(squares) + rest <= sample_limit * sample_limit))
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

static float frame_mean(const es_spectral *sp, const float *samples)
{
    const int32_t last = (sp->window_length - 1) / ES_LANES * ES_LANES;
    V a = es_splat(0.0f), b = a;
    int32_t i = 0;
    for (; i + 2 * ES_LANES <= last; i += 2 * ES_LANES) {
        a += es_load(samples + i);
        b += es_load(samples + i + ES_LANES);
    }
    if (i < last)
        a += es_load(samples + i);
    b += es_load(samples + last) * es_load_aligned(sp->inside);
    return es_sum(a + b) / (float)sp->window_length;
}

/* sp->frame = window * pre-emphasis of (samples - mean). Returns the energy of (samples - mean). */
static float prepare_frame(const es_spectral *sp, const float *samples)
{
    const float mean = sp->remove_dc ? frame_mean(sp, samples) : 0.0f;
    const int32_t last = (sp->window_length - 1) / ES_LANES * ES_LANES;
    const V m = es_splat(mean), a = es_splat(sp->frame_preemphasis);
    V energy = es_splat(0.0f);
    V before = es_repeat_first(es_load(samples)); /* x[-1] = x[0] */
    for (int32_t i = 0; i < last; i += ES_LANES) {
        const V x = es_load(samples + i) - m;
        energy += x * x;
        es_store_aligned(sp->frame + i, (x - a * (before - m)) * es_load_aligned(sp->window + i));
        before = es_load(samples + i + ES_LANES - 1);
    }
    const V x = es_load(samples + last) - m;
    energy += x * x * es_load_aligned(sp->inside);
    es_store_aligned(sp->frame + last, (x - a * (before - m)) * es_load_aligned(sp->window + last));
    return es_sum(energy);
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

static float spectrum_energy(const es_spectral *sp)
{
    const int32_t half = sp->fft.n_fft / 2;
    V sum = es_splat(0.0f);
    for (int32_t k = 0; k < half; k += ES_LANES)
        sum += es_load_aligned(sp->power + k);
    return (es_sum(sum) + sp->power[half]) * sp->power_scale;
}

static float floored_log(const es_spectral *sp, float energy)
{
    float lanes[ES_LANES];
    es_store(lanes, es_log_of(es_max(es_splat(energy), es_splat(sp->log_floor))));
    return lanes[0] * sp->log_unit;
}

/* ---- mel ---- */

/* log_mel[m] = ln max(floor, sum of weight * power over the bins of band m), bands ES_LANES at a time. */
static void log_mel_bands(const es_spectral *sp, float *log_mel)
{
    const float *weights = sp->mel_weights;
    const V floor = es_splat(sp->log_floor);
    for (int32_t start = 0; start < sp->n_mels; start += ES_LANES) {
        const int32_t n_vectors = sp->groups[start / ES_LANES].n_vectors;
        const float *power[ES_LANES];
        V sums[ES_LANES];
        for (int i = 0; i < ES_LANES; i++) {
            power[i] = sp->power + sp->first_bins[start + i < sp->n_mels ? start + i : start];
            sums[i] = es_load(power[i]) * es_load_aligned(weights + i * ES_LANES);
        }
        weights += ES_LANES * ES_LANES;
        for (int32_t v = 1; v < n_vectors; v++) {
            for (int i = 0; i < ES_LANES; i++)
                sums[i] += es_load(power[i] + v * ES_LANES) * es_load_aligned(weights + i * ES_LANES);
            weights += ES_LANES * ES_LANES;
        }
        es_store_aligned(log_mel + start, es_log_of(es_max(es_row_sums(sums), floor)));
    }
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

static void cepstra_of(const es_spectral *sp, const float *log_mel, float *row)
{
    const int32_t n = sp->n_folded, width = sp->n_even;
    float *sums = sp->folded, *differences = sp->folded + (n + ES_LANES - 1) / ES_LANES * ES_LANES;
    fold_bands(sp, log_mel, sums, differences);
    for (int32_t c = 0; c < width; c += ES_LANES) {
        const float *even_weights = sp->dct_even + c, *odd_weights = sp->dct_odd + c;
        V even[2] = {es_splat(0.0f), es_splat(0.0f)}, odd[2] = {es_splat(0.0f), es_splat(0.0f)};
        int32_t m = 0;
        for (; m + 2 <= n; m += 2) {
            for (int j = 0; j < 2; j++) {
                even[j] += es_splat(sums[m + j]) * es_load_aligned(even_weights + (m + j) * width);
                odd[j] += es_splat(differences[m + j]) * es_load_aligned(odd_weights + (m + j) * width);
            }
        }
        if (m < n) {
            even[0] += es_splat(sums[m]) * es_load_aligned(even_weights + m * width);
            odd[0] += es_splat(differences[m]) * es_load_aligned(odd_weights + m * width);
        }
        const V e = even[0] + even[1], o = odd[0] + odd[1];
        es_store_aligned(sp->cepstra + 2 * c, es_zip_low(e, o));
        es_store_aligned(sp->cepstra + 2 * c + ES_LANES, es_zip_high(e, o));
    }
    memcpy(row, sp->cepstra, (size_t)sp->n_mfcc * sizeof *row);
}

/* ---- a row ---- */

static void static_row(es_spectral *sp, const float *samples, float *row)
{
    float energy = prepare_frame(sp, samples);
    if (sp->energy == ES_ENERGY_WINDOWED)
        energy = sum_of_squares(sp->frame, sp->frame_length);
    fft_power(&sp->fft, sp->frame, sp->power);
    if (sp->energy == ES_ENERGY_SPECTRUM)
        energy = spectrum_energy(sp);
    log_mel_bands(sp, sp->log_mel);
    if (sp->feature == ES_MFCC)
        cepstra_of(sp, sp->log_mel, row);
    else
        for (int32_t m = 0; m < sp->n_mels; m++)
            row[m] = sp->log_unit * sp->log_mel[m];
    if (sp->energy != ES_ENERGY_NONE)
        row[sp->feature == ES_MFCC ? 0 : sp->n_mels] = floored_log(sp, energy);
}

static void static_rows(es_spectral *sp, const float *samples, size_t n_frames, float *rows)
{
    for (size_t f = 0; f < n_frames; f++)
        static_row(sp, samples + f * (size_t)sp->hop_length, rows + f * (size_t)sp->n_static);
}

#define ES_JOINED(a, b) a##b
#define ES_KERNEL_VARIABLE(name) ES_JOINED(es_kernel_, name)
#define ES_TEXT(a) #a
#define ES_TEXT_OF(a) ES_TEXT(a)
const es_kernel ES_KERNEL_VARIABLE(ES_KERNEL_NAME) = {ES_TEXT_OF(ES_KERNEL_NAME), ES_LANES, static_rows, take_samples};
