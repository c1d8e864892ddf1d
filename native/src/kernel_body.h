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

/* ---- frames ---- */

/* Mean of the samples of a piece and the sum of the squares of what they differ from it by; mean 0 unless it is to be
 * removed. Both are taken of x - x[0]: a constant, however large, then leaves nothing that could cancel. */
static void piece_statistics(const es_spectral *sp, const float *restrict x, float *mean, float *spread)
{
    const es_pieces *pieces = &sp->pieces;
    const int32_t last = (pieces->length - 1) / ES_LANES * ES_LANES;
    const float origin = sp->remove_dc ? x[0] : 0.0f;
    const V zero = es_splat(0.0f), o = es_splat(origin);
    V sum[2] = {zero, zero}, square[2] = {zero, zero}; /* in two strands, that need not wait for each other */
    int32_t i = 0;
    for (; i + 2 * ES_LANES <= last; i += 2 * ES_LANES) {
        for (int j = 0; j < 2; j++) {
            const V d = es_load(x + i + j * ES_LANES) - o;
            sum[j] += d;
            square[j] += d * d;
        }
    }
    if (i < last) {
        const V d = es_load(x + i) - o;
        sum[0] += d;
        square[0] += d * d;
    }
    const V d = (es_load(x + last) - o) * es_load_aligned(pieces->inside);
    sum[1] += d;
    square[1] += d * d;
    const float difference = sp->remove_dc ? es_sum(sum[0] + sum[1]) * pieces->per_sample : 0.0f;
    *mean = origin + difference;
    *spread = es_sum(square[0] + square[1]) - (float)pieces->length * difference * difference;
}

static void batch_statistics(const es_spectral *sp, const float *samples, int n_frames)
{
    const es_pieces *pieces = &sp->pieces;
    const int32_t *place = pieces->place, n = (n_frames - 1) * pieces->per_hop + pieces->per_frame;
    for (int32_t p = 0; pieces->needed && p < n; p++)
        piece_statistics(sp, samples + p * pieces->distance, pieces->mean + place[p], pieces->spread + place[p]);
}

/* A value of the same piece of each frame; of a single frame in all lanes, as it was stored a moment ago by itself and
 * a vector around it would have to wait for it. */
static ES_INLINE V piece_of_frames(const float *value, const int block)
{
    return block ? es_load(value) : es_splat(*value);
}

/* What is to be subtracted from the emphasised samples of frames `first` and the next of a batch, and their raw energy;
 * from the pieces that neighbouring frames share. Pre-emphasis leaves (1 - a) of the mean, as x[-1] = x[0]. The spread
 * about the mean of all follows from those about the means of the pieces (Chan, Golub and LeVeque 1979). */
static ES_INLINE void frame_statistics(const es_spectral *sp, int first, V *offset, V *energy, const int block)
{
    const es_pieces *pieces = &sp->pieces;
    const float *mean = pieces->mean + first, *spread = pieces->spread + first;
    const int32_t *place = pieces->place;
    V sum = es_splat(0.0f), inner = sum, outer = sum;
    for (int32_t p = 0; p < pieces->per_frame; p++) {
        sum += piece_of_frames(mean + place[p], block);
        inner += piece_of_frames(spread + place[p], block);
    }
    const V m = sum * es_splat(1.0f / (float)pieces->per_frame);
    for (int32_t p = 0; p < pieces->per_frame; p++) {
        const V d = piece_of_frames(mean + place[p], block) - m;
        outer += d * d;
    }
    *offset = es_subtract_product(m, es_splat(sp->frame_preemphasis), m);
    *energy = inner + outer * es_splat((float)pieces->length);
}

static inline V floored_log(const es_spectral *sp, V energy)
{
    return es_log_of(es_max(energy, es_splat(sp->log_floor)));
}

static inline void copy_floats(const float *restrict from, int32_t n, float *restrict to)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4)
        memcpy(to + i, from + i, 4 * sizeof *to);
    for (; i < n; i++)
        to[i] = from[i];
}

/* ---- one frame: bins, bands, cepstra in the lanes ---- */

/* emphasised[i] = x[i] - a x[i-1], where there is pre-emphasis in the frame. The first vector comes with the frame. */
static es_frame frame_at(const es_spectral *sp, const float *restrict x, V offset)
{
    const V a = es_splat(sp->frame_preemphasis), start = es_load(x);
    const V first = es_subtract_product(start, a, es_repeat_first(start));
    if (sp->frame_preemphasis == 0.0f)
        return (es_frame){x, first, offset};
    float *restrict emphasised = sp->emphasised;
    for (int32_t i = ES_LANES; i < sp->frame_length; i += ES_LANES)
        es_store_aligned(emphasised + i, es_subtract_product(es_load(x + i), a, es_load(x + i - 1)));
    return (es_frame){emphasised, first, offset};
}

static float windowed_energy(const es_spectral *sp, const es_frame *frame)
{
    V y = (frame->first - frame->offset) * es_load_aligned(sp->window), sum = y * y;
    for (int32_t i = ES_LANES; i < sp->frame_length; i += ES_LANES) {
        y = (es_load(frame->x + i) - frame->offset) * es_load_aligned(sp->window + i);
        sum += y * y;
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

/* Sums of weight * power over the bins of each band of a group. */
static ES_INLINE void group_sums(const es_spectral *sp, const es_band_group *group, const int n_quads,
                                 const float *restrict weights, float *sums)
{
    Q s[ES_QUAD];
    for (int i = 0; i < ES_QUAD; i++)
        s[i] = (Q){0};
    for (int q = 0; q < n_quads; q++)
        for (int i = 0; i < ES_QUAD; i++)
            s[i] += es_load_aligned_quad(weights + (q * ES_QUAD + i) * ES_QUAD) *
                    es_load_quad(sp->power + group->first_bin[i] + q * ES_QUAD);
    es_store_aligned_quad(sums, es_quad_sums(s));
}

/* log_mel[m] = ln max(floor, sum of weight * power over the bins of band m). */
static void frame_log_mel(const es_spectral *sp)
{
    const float *weights = sp->mel_weights;
    for (int32_t g = 0; g < sp->n_groups; g++) {
        const es_band_group *group = sp->groups + g;
        float *sums = sp->log_mel + g * ES_QUAD;
        switch (group->n_quads) { /* most bands span few quads: those loops are unrolled */
        case 1:
            group_sums(sp, group, 1, weights, sums);
            break;
        case 2:
            group_sums(sp, group, 2, weights, sums);
            break;
        case 3:
            group_sums(sp, group, 3, weights, sums);
            break;
        case 4:
            group_sums(sp, group, 4, weights, sums);
            break;
        default:
            group_sums(sp, group, group->n_quads, weights, sums);
            break;
        }
        weights += group->n_quads * ES_QUAD * ES_QUAD;
    }
    for (int32_t m = 0; m < sp->n_mels; m += ES_LANES)
        es_store_aligned(sp->log_mel + m, floored_log(sp, es_load_aligned(sp->log_mel + m)));
}

/* Even cepstra see the sum of a band and its mirror image, odd ones the difference: half the products. */
static void fold_bands(const es_spectral *sp, float *sums, float *differences)
{
    const float *log_mel = sp->log_mel;
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

static void frame_cepstra(const es_spectral *sp, float *row)
{
    const int32_t width = sp->dct_width;
    float *sums = sp->folded, *differences = sp->folded + sp->folded_length;
    fold_bands(sp, sums, differences);
    for (int32_t c = 0; c < width; c += ES_LANES) {
        const float *even_weights = sp->dct_even + c, *odd_weights = sp->dct_odd + c;
        V even[2] = {es_splat(0.0f), es_splat(0.0f)}, odd[2] = {es_splat(0.0f), es_splat(0.0f)}; /* in two strands */
        for (int32_t m = 0; m < sp->n_folded; m += 2) {
            for (int j = 0; j < 2; j++) {
                even[j] += es_splat(sums[m + j]) * es_load_aligned(even_weights + (m + j) * width);
                odd[j] += es_splat(differences[m + j]) * es_load_aligned(odd_weights + (m + j) * width);
            }
        }
        const V e = even[0] + even[1], o = odd[0] + odd[1];
        es_store_aligned(sp->cepstra + 2 * c, es_zip_low(e, o));
        es_store_aligned(sp->cepstra + 2 * c + ES_LANES, es_zip_high(e, o));
    }
    copy_floats(sp->cepstra, sp->n_mfcc, row);
}

static void frame_row(const es_spectral *sp, const float *samples, float *row)
{
    V offset, energy;
    batch_statistics(sp, samples, 1);
    frame_statistics(sp, 0, &offset, &energy, 0);
    const es_frame frame = frame_at(sp, samples, offset);
    pass_down_columns(&sp->fft, &frame, sp->window);
    frame_power(&sp->fft, sp->power);
    if (sp->energy == ES_ENERGY_WINDOWED)
        energy = es_splat(windowed_energy(sp, &frame));
    if (sp->energy == ES_ENERGY_SPECTRUM)
        energy = es_splat(spectrum_energy(sp));
    frame_log_mel(sp);
    if (sp->feature == ES_MFCC)
        frame_cepstra(sp, row);
    else
        for (int32_t m = 0; m < sp->n_mels; m++)
            row[m] = sp->log_unit * sp->log_mel[m];
    if (sp->energy != ES_ENERGY_NONE) {
        float lanes[ES_LANES];
        es_store(lanes, floored_log(sp, energy));
        row[sp->feature == ES_MFCC ? 0 : sp->n_mels] = lanes[0] * sp->log_unit;
    }
}

#if ES_LANES > 1
/* ---- a block of ES_LANES frames: a frame in each lane. The same operations in the same order as for one frame ---- */

/* Emphasised samples of a batch, frame beside frame (es_columns). */
static void fill_columns(const es_spectral *sp, const float *samples, int n_frames)
{
    const es_columns *columns = &sp->columns;
    const V a = es_splat(sp->frame_preemphasis);
    const int32_t stride = columns->stride, last = n_frames - 1 + columns->n_more;
    for (int32_t c = 0; c <= last; c += 4) {
        for (int32_t r = 0; r < columns->length;) {
            /* The last column is needed in part; beyond it there may be nothing, so another takes its place. */
            const int32_t end = r < columns->length_of_last ? columns->length_of_last : columns->length;
            const int32_t limit = r < columns->length_of_last ? last : last - 1;
            const float *from[4];
            for (int i = 0; i < 4; i++)
                from[i] = samples + (c + i < limit ? c + i : limit) * sp->hop_length;
            for (float *to = columns->samples + r * stride + c; r < end; r += ES_LANES, to += ES_LANES * stride) {
                V row[4], column[4];
                for (int i = 0; i < 4; i++)
                    row[i] = es_subtract_product(es_load(from[i] + r), a, es_load(from[i] + r - 1));
                es_transpose_quads(row, column);
                for (int i = 0; i < 4; i++)
                    es_store_quads(to + i * stride, 4 * stride, column[i]);
            }
        }
    }
}

/* What a block of a batch needs of its samples. */
static void prepare_batch(const es_spectral *sp, const float *samples, int n_frames)
{
    batch_statistics(sp, samples, n_frames);
    fill_columns(sp, samples, n_frames);
    for (int f = 0; f < n_frames; f++)
        sp->columns.first[f] = samples[f * sp->hop_length];
}

static V block_windowed_energy(const es_spectral *sp, const es_block *block)
{
    const int32_t n_columns = sp->fft.n_columns;
    V sum[ES_LANES];
    for (int i = 0; i < ES_LANES; i++)
        sum[i] = es_splat(0.0f);
    for (int32_t i = 0; i < sp->frame_length; i++) {
        const V x = i == 0 ? block->first : es_load(block->rows[i / n_columns] + i % n_columns * block->distance);
        const V y = (x - block->offset) * es_same(sp->block_window, i);
        sum[i % ES_LANES] += y * y;
    }
    return es_sum_of(sum);
}

static V block_spectrum_energy(const es_spectral *sp)
{
    const int32_t half = sp->fft.n_fft / 2;
    V sum[ES_LANES];
    for (int i = 0; i < ES_LANES; i++)
        sum[i] = es_splat(0.0f);
    for (int32_t k = 0; k < half; k += ES_LANES)
        for (int i = 0; i < ES_LANES; i++)
            sum[i] += es_load_aligned(sp->power + (k + i) * ES_LANES);
    return (es_sum_of(sum) + es_load_aligned(sp->power + half * ES_LANES)) * es_splat(sp->power_scale);
}

static void block_log_mel(const es_spectral *sp)
{
    const float *weights = sp->mel_weights;
    float *log_mel = sp->log_mel;
    for (int32_t g = 0; g < sp->n_groups; g++) {
        const es_band_group *group = sp->groups + g;
        for (int i = 0; i < ES_QUAD; i++) {
            const float *power = sp->power + group->first_bin[i] * ES_LANES, *weight = weights + i * ES_QUAD;
            V s[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
            for (int q = 0; q < group->n_quads_of[i]; q++) {
                for (int j = 0; j < 4; j++)
                    s[j] += es_splat(weight[j]) * es_load_aligned(power + j * ES_LANES);
                weight += ES_QUAD * ES_QUAD;
                power += 4 * ES_LANES;
            }
            es_store_aligned(log_mel, floored_log(sp, (s[0] + s[1]) + (s[2] + s[3]))); /* as es_quad_sums adds */
            log_mel += ES_LANES;
        }
        weights += group->n_quads * ES_QUAD * ES_QUAD;
    }
}

/* Sums take the place of the lower half of the bands, differences that of their mirror images. */
static void block_fold_bands(const es_spectral *sp)
{
    float *low = sp->log_mel, *high = sp->log_mel + (sp->n_mels - 1) * ES_LANES;
    for (; low < high; low += ES_LANES, high -= ES_LANES) {
        const V l = es_load_aligned(low), h = es_load_aligned(high);
        es_store_aligned(low, l + h);
        es_store_aligned(high, l - h);
    }
}

/* Cepstra first, first + 2, first + 4 and first + 6: sums over n folded bands, `step` floats apart. */
static ES_INLINE void block_four_cepstra(const float *folded, ptrdiff_t step, int32_t n, const float *weights,
                                         int32_t width, float *columns)
{
    V s[2][4];
    for (int i = 0; i < 4; i++)
        s[0][i] = s[1][i] = es_splat(0.0f);
    int32_t m = 0;
    for (; m + 2 <= n; m += 2) {
        for (int j = 0; j < 2; j++) {
            const V x = es_load_aligned(folded + (m + j) * step);
            for (int i = 0; i < 4; i++)
                s[j][i] += x * es_splat(weights[(m + j) * width + i]);
        }
    }
    if (m < n) {
        const V x = es_load_aligned(folded + m * step);
        for (int i = 0; i < 4; i++)
            s[0][i] += x * es_splat(weights[m * width + i]);
    }
    for (int i = 0; i < 4; i++)
        es_store_aligned(columns + 2 * i * ES_LANES, s[0][i] + s[1][i]);
}

static void block_cepstra(const es_spectral *sp)
{
    const int32_t half = sp->n_mels / 2;
    const float *highest = sp->log_mel + (sp->n_mels - 1) * ES_LANES;
    block_fold_bands(sp);
    for (int32_t c = 0; 2 * c < sp->n_mfcc; c += 4) {
        float *columns = sp->cepstra + 2 * c * ES_LANES;
        block_four_cepstra(sp->log_mel, ES_LANES, half + sp->n_mels % 2, sp->dct_even + c, sp->dct_width, columns);
        block_four_cepstra(highest, -ES_LANES, half, sp->dct_odd + c, sp->dct_width, columns + ES_LANES);
    }
}

/* Turns columns [n_static][ES_LANES] into rows. Whole vectors are stored from the last columns to the first and from
 * the first row to the last, so that what is too much is overwritten; at the end of the rows there is none too much. */
static void write_rows(const es_spectral *sp, const float *columns, int n_frames, float *rows)
{
    const int32_t width = sp->n_static;
    for (int32_t c = (width - 1) / ES_LANES * ES_LANES; c >= 0; c -= ES_LANES) {
        V part[ES_LANES];
        es_transpose(columns + c * ES_LANES, ES_LANES, part);
        for (int f = 0; f < n_frames; f++) {
            if ((n_frames - f) * width - c >= ES_LANES) {
                es_store(rows + f * width + c, part[f]);
            } else {
                float lanes[ES_LANES];
                es_store(lanes, part[f]);
                copy_floats(lanes, width - c < ES_LANES ? width - c : ES_LANES, rows + f * width + c);
            }
        }
    }
}

/* n_frames rows, from frame `first` of the batch on; the lanes behind them compute with what a batch before has left. */
static void block_rows(const es_spectral *sp, int first, int n_frames, float *rows)
{
    es_block block = {.distance = sp->columns.stride};
    V energy;
    frame_statistics(sp, first, &block.offset, &energy, 1);
    const V x = es_load_aligned(sp->columns.first + first);
    block.first = es_subtract_product(x, es_splat(sp->frame_preemphasis), x);
    for (int32_t i = 0; i < sp->fft.used_rows; i++)
        block.rows[i] = sp->columns.samples + sp->columns.row[i] + first;
    block_down_columns(&sp->fft, &block, sp->block_window);
    block_power(&sp->fft, sp->power);
    if (sp->energy == ES_ENERGY_WINDOWED)
        energy = block_windowed_energy(sp, &block);
    if (sp->energy == ES_ENERGY_SPECTRUM)
        energy = block_spectrum_energy(sp);
    block_log_mel(sp);
    float *columns = sp->log_mel;
    if (sp->feature == ES_MFCC) {
        columns = sp->cepstra;
        block_cepstra(sp);
    } else {
        for (int32_t m = 0; m < sp->n_mels; m++)
            es_store_aligned(columns + m * ES_LANES, es_splat(sp->log_unit) * es_load_aligned(columns + m * ES_LANES));
    }
    if (sp->energy != ES_ENERGY_NONE)
        es_store_aligned(columns + (sp->feature == ES_MFCC ? 0 : sp->n_mels) * ES_LANES,
                         floored_log(sp, energy) * es_splat(sp->log_unit));
    write_rows(sp, columns, n_frames, rows);
}
#endif

static void static_rows(es_spectral *sp, const float *samples, size_t n_frames, float *rows)
{
    const size_t hop = (size_t)sp->hop_length, width = (size_t)sp->n_static;
    size_t f = 0;
#if ES_LANES > 1
    enum { WORTH_A_BLOCK = ES_LANES / 2 + 1 }; /* a block costs about as much as so many single frames */
    const size_t batch = (size_t)sp->columns.n_frames;
    while (n_frames - f >= WORTH_A_BLOCK) {
        size_t n = n_frames - f < batch ? n_frames - f : batch;
        if (n % ES_LANES < WORTH_A_BLOCK)
            n -= n % ES_LANES;
        prepare_batch(sp, samples + f * hop, (int)n);
        for (size_t b = 0; b < n; b += ES_LANES)
            block_rows(sp, (int)b, n - b < ES_LANES ? (int)(n - b) : ES_LANES, rows + (f + b) * width);
        f += n;
    }
#endif
    for (; f < n_frames; f++)
        frame_row(sp, samples + f * hop, rows + f * width);
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
const es_kernel ES_KERNEL_VARIABLE(ES_KERNEL_NAME) = {ES_TEXT_OF(ES_KERNEL_NAME), ES_LANES, ES_COPIES, static_rows,
                                                     take_samples, subtract_mean};
