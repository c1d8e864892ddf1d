/* The hot code of the front end, once for each kind of processor: kernel_*.c define ES_LANES and ES_KERNEL_NAME and
 * include this file. Every stage works on one frame in the same way whether it comes alone or in a block, so streams
 * and batches give the same bits. */
#include <math.h>

#include "simd.h"
#include "spectral.h"

#include "fft_kernel.h"

/* ---- samples ---- */

/* Whether samples are finite and well within the limit, from their squares: a NaN or an infinity stays in the sum, a
 * large sample shows. */
static ES_INLINE bool squares_are_good(V squares, float rest, float limit)
{
    return es_sum(squares) + rest <= limit * limit;
}

static size_t replace_bad(float *x, size_t n, float limit)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(x[i]) <= limit)) { /* NaN fails every comparison */
            x[i] = 0.0f;
            bad++;
        }
    }
    return bad;
}

static size_t take_samples(const float *restrict samples, size_t n, float limit, float preemphasis, float *previous,
                           float *restrict out)
{
    V squares[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
    float rest = 0.0f;
    size_t i = 0, bad = 0;
    for (; i + 4 * ES_LANES <= n; i += 4 * ES_LANES) {
        for (int j = 0; j < 4; j++) {
            const V x = es_load(samples + i + j * ES_LANES);
            squares[j] += x * x;
            es_store(out + i + j * ES_LANES, x);
        }
    }
    for (; i < n; i++) {
        out[i] = samples[i];
        rest += out[i] * out[i];
    }
    if (!squares_are_good((squares[0] + squares[1]) + (squares[2] + squares[3]), rest, limit))
        bad = replace_bad(out, n, limit);
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
    const V d = es_and(es_load(x + last) - o, es_load_aligned(pieces->inside));
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
    *energy = (inner + outer * es_splat((float)pieces->length)) * es_splat(sp->energy_scale);
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
    for (int32_t i = 0; i < sp->frame_length; i += 16) /* rows of the FFT's table have at least so many columns */
        for (int j = 0; j < 16; j += ES_LANES)
            es_store_aligned(emphasised + i + j, es_subtract_product(es_load(x + i + j), a, es_load(x + i + j - 1)));
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

/* Folds n bands in place: sums of a band and its mirror image below the middle, differences above it (es_dct_part). */
static ES_INLINE void fold(float *bands, int32_t n)
{
    const int32_t half = n / 2;
    int32_t m = 0;
    for (; m + ES_QUAD <= half; m += ES_QUAD) {
        float *above = bands + n - ES_QUAD - m;
        const Q low = es_load_quad(bands + m), high = es_reverse_quad(es_load_quad(above));
        es_store_quad(bands + m, low + high);
        es_store_quad(above, es_reverse_quad(low - high));
    }
    for (; m < half; m++) {
        const float low = bands[m], high = bands[n - 1 - m];
        bands[m] = low + high;
        bands[n - 1 - m] = low - high;
    }
}

/* The share of the next n bands in n_vectors of cepstra, in two strands that need not wait for each other. */
static ES_INLINE void add_bands(V s[2][2], const float *bands, const float *weights, int32_t width, const int n,
                                const int direction, const int n_vectors)
{
    for (int j = 0; j < n; j++) {
        const V x = es_splat(bands[j * direction]);
        for (int i = 0; i < n_vectors; i++)
            s[j % 2][i] += x * es_load_aligned(weights + j * width + i * ES_LANES);
    }
}

static ES_INLINE void some_cepstra(const float *bands, const es_dct_part *part, const float *weights, const int direction,
                                   const int n_vectors, float *cepstra)
{
    const int32_t n = part->n_bands, width = part->width;
    V s[2][2];
    for (int i = 0; i < n_vectors; i++)
        s[0][i] = s[1][i] = es_splat(0.0f);
    int32_t m = 0;
    for (; m + 4 <= n; m += 4, bands += 4 * direction, weights += 4 * width)
        add_bands(s, bands, weights, width, 4, direction, n_vectors);
    for (; m + 2 <= n; m += 2, bands += 2 * direction, weights += 2 * width)
        add_bands(s, bands, weights, width, 2, direction, n_vectors);
    if (m < n)
        add_bands(s, bands, weights, width, 1, direction, n_vectors);
    for (int i = 0; i < n_vectors; i++)
        es_store_aligned(cepstra + i * ES_LANES, s[0][i] + s[1][i]);
}

static ES_INLINE void part_cepstra(const es_spectral *sp, const es_dct_part *part, const int direction, float *cepstra)
{
    const float *bands = sp->log_mel + part->first_band;
    int32_t c = 0;
    for (; c + 2 * ES_LANES <= part->width; c += 2 * ES_LANES)
        some_cepstra(bands, part, part->weights + c, direction, 2, cepstra + c);
    if (c < part->width)
        some_cepstra(bands, part, part->weights + c, direction, 1, cepstra + c);
}

/* a0 b0 a1 b1 …, at least n floats. */
static ES_INLINE void zip(const float *a, const float *b, int32_t n, float *both)
{
    for (int32_t c = 0; 2 * c < n; c += ES_LANES) {
        const V x = es_load_aligned(a + c), y = es_load_aligned(b + c);
        es_store_aligned(both + 2 * c, es_zip_low(x, y));
        es_store_aligned(both + 2 * c + ES_LANES, es_zip_high(x, y));
    }
}

static void frame_cepstra(const es_spectral *sp, float *row)
{
    const es_dct_part *part = sp->parts;
    float *even = sp->part_cepstra, *odd = even + sp->part_length, *spare = odd + sp->part_length;
    fold(sp->log_mel, sp->n_mels);
    if (sp->n_parts == 3) {
        fold(sp->log_mel, sp->n_mels / 2);
        part_cepstra(sp, part++, 1, spare);
        part_cepstra(sp, part++, -1, odd);
        zip(spare, odd, (sp->n_mfcc + 1) / 2, even);
    } else {
        part_cepstra(sp, part++, 1, even);
    }
    if (sp->n_mfcc > 1)
        part_cepstra(sp, part, -1, odd);
    zip(even, odd, sp->n_mfcc, spare);
    copy_floats(spare, sp->n_mfcc, row);
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

/* Emphasised samples r .. end - 1 of n columns, of which the last to be read is `last`. Row by row, as the rows of all
 * columns lie side by side. Returns the squares of what was read. */
static V fill_rows(const es_spectral *sp, const float *samples, int32_t n, int32_t last, int32_t r, int32_t end)
{
    const V a = es_splat(sp->frame_preemphasis);
    V squares[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
    const int32_t stride = sp->columns.stride;
    const float *column[ES_MAX_COLUMNS];
    for (int32_t c = 0; c < n; c++)
        column[c] = samples + (c < last ? c : last) * sp->hop_length;
    for (float *row = sp->columns.samples + r * stride; r < end; r += ES_LANES, row += ES_LANES * stride) {
        for (int32_t c = 0; c < n; c += 4) {
            V x[4], side_by_side[4];
            for (int i = 0; i < 4; i++) {
                x[i] = es_load(column[c + i] + r);
                squares[i] += x[i] * x[i];
                x[i] = es_subtract_product(x[i], a, es_load(column[c + i] + r - 1));
            }
            es_transpose_quads(x, side_by_side);
            for (int i = 0; i < 4; i++)
                es_store_quads(row + i * stride + c, 4 * stride, side_by_side[i]);
        }
    }
    return (squares[0] + squares[1]) + (squares[2] + squares[3]);
}

/* Samples of n_frames frames, frame beside frame (es_columns). Returns their squares. */
static V fill_columns(const es_spectral *sp, const float *samples, int n_frames)
{
    const es_columns *columns = &sp->columns;
    const int32_t last = n_frames - 1 + columns->n_more, n = (last + 4) / 4 * 4;
    const V squares = fill_rows(sp, samples, n, last, 0, columns->length_of_last);
    /* Beyond that there may be nothing behind the last column. */
    return squares + fill_rows(sp, samples, n, last - 1, columns->length_of_last, columns->length);
}

/* What a block of a batch needs of its samples. Returns whether they are good. */
static bool prepare_batch(const es_spectral *sp, const float *samples, int n_frames)
{
    batch_statistics(sp, samples, n_frames);
    const V squares = fill_columns(sp, samples, n_frames);
    for (int f = 0; f < n_frames; f++)
        sp->columns.first[f] = samples[f * sp->hop_length];
    return squares_are_good(squares, 0.0f, sp->sample_limit);
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
    const float *weights = sp->block_mel_weights;
    float *log_mel = sp->log_mel;
    for (int32_t g = 0; g < sp->n_groups; g++) {
        const es_band_group *group = sp->groups + g;
        for (int i = 0; i < ES_QUAD; i++) {
            const float *power = sp->power + group->first_bin[i] * ES_LANES, *weight = weights + i * ES_QUAD * ES_COPIES;
            V s[4] = {es_splat(0.0f), es_splat(0.0f), es_splat(0.0f), es_splat(0.0f)};
            for (int q = 0; q < group->n_quads_of[i]; q++) {
                for (int j = 0; j < 4; j++)
                    s[j] += es_same(weight, j) * es_load_aligned(power + j * ES_LANES);
                weight += ES_QUAD * ES_QUAD * ES_COPIES;
                power += 4 * ES_LANES;
            }
            es_store_aligned(log_mel, floored_log(sp, (s[0] + s[1]) + (s[2] + s[3]))); /* as es_quad_sums adds */
            log_mel += ES_LANES;
        }
        weights += group->n_quads * ES_QUAD * ES_QUAD * ES_COPIES;
    }
}

static ES_INLINE void block_fold(float *bands, int32_t n)
{
    float *low = bands, *high = bands + (n - 1) * ES_LANES;
    for (; low < high; low += ES_LANES, high -= ES_LANES) {
        const V l = es_load_aligned(low), h = es_load_aligned(high);
        es_store_aligned(low, l + h);
        es_store_aligned(high, l - h);
    }
}

/* The next n <= 4 cepstra of a part. */
static ES_INLINE void block_some_cepstra(const es_spectral *sp, const es_dct_part *part, int32_t c, const int n)
{
    const float *bands = sp->log_mel + part->first_band * ES_LANES, *weights = part->block_weights + c * ES_COPIES;
    const ptrdiff_t next_band = part->direction * ES_LANES, next_weights = part->width * ES_COPIES;
    V s[2][4];
    for (int i = 0; i < n; i++)
        s[0][i] = s[1][i] = es_splat(0.0f);
    int32_t m = 0;
    for (; m + 2 <= part->n_bands; m += 2) {
        for (int j = 0; j < 2; j++) {
            const V x = es_load_aligned(bands);
            for (int i = 0; i < n; i++)
                s[j][i] += x * es_same(weights, i);
            bands += next_band;
            weights += next_weights;
        }
    }
    if (m < part->n_bands) {
        const V x = es_load_aligned(bands);
        for (int i = 0; i < n; i++)
            s[0][i] += x * es_same(weights, i);
    }
    float *cepstra = sp->cepstra + (part->first + c * part->step) * ES_LANES;
    for (int i = 0; i < n; i++)
        es_store_aligned(cepstra + i * part->step * ES_LANES, s[0][i] + s[1][i]);
}

static void block_cepstra(const es_spectral *sp)
{
    block_fold(sp->log_mel, sp->n_mels);
    if (sp->n_parts == 3)
        block_fold(sp->log_mel, sp->n_mels / 2);
    for (const es_dct_part *part = sp->parts; part < sp->parts + sp->n_parts; part++) {
        int32_t c = 0;
        for (; c + 4 <= part->n_cepstra; c += 4)
            block_some_cepstra(sp, part, c, 4);
        if (part->n_cepstra - c == 3)
            block_some_cepstra(sp, part, c, 3);
        else if (part->n_cepstra - c == 2)
            block_some_cepstra(sp, part, c, 2);
        else if (part->n_cepstra - c == 1)
            block_some_cepstra(sp, part, c, 1);
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
    if (sp->n_ahead > 0) { /* all of it in the course of a batch */
        const ptrdiff_t share = (ptrdiff_t)sp->n_ahead / (sp->columns.n_frames / ES_LANES);
        block.ahead = sp->ahead + first / ES_LANES * share;
        block.ahead_length = share / sp->fft.n_columns;
    }
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

static bool static_rows(es_spectral *sp, const float *samples, size_t n_frames, float *rows)
{
    const size_t hop = (size_t)sp->hop_length, width = (size_t)sp->n_static;
    size_t f = 0;
    bool good = true;
#if ES_LANES > 1
    enum { WORTH_A_BLOCK = ES_LANES / 2 + 1 }; /* a block costs about as much as so many single frames */
    const size_t batch = (size_t)sp->columns.n_frames;
    while (n_frames - f >= WORTH_A_BLOCK) {
        size_t n = n_frames - f < batch ? n_frames - f : batch;
        if (n % ES_LANES < WORTH_A_BLOCK)
            n -= n % ES_LANES;
        good &= prepare_batch(sp, samples + f * hop, (int)n);
        for (size_t b = 0; b < n; b += ES_LANES)
            block_rows(sp, (int)b, n - b < ES_LANES ? (int)(n - b) : ES_LANES, rows + (f + b) * width);
        f += n;
    }
#endif
    for (; f < n_frames; f++)
        frame_row(sp, samples + f * hop, rows + f * width);
    return good;
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

    for (size_t c = 0; c < width; c++)
        pattern[c] = (float)(sum[c] / (double)n_rows);
    for (size_t j = width; j < period; j++)
        pattern[j] = pattern[j - width];
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
