/* The front end as a state machine: samples -> buffer -> static rows -> deltas -> sliding normalisation -> rows.
 *
 * es_push only stores samples; es_pull computes rows straight into the caller's memory. es_process pulls from a signal
 * that lies in the caller's memory, where frames are read in place; only those at its ends, and any beside bad samples,
 * come from the buffer. A batch and a stream run the same operations in the same order.
 */
#include "edge_ser.h"

#include <string.h>

#include "arena.h"
#include "cepstral_mean.h"
#include "delta.h"
#include "quantize.h"
#include "spectral.h"

enum {
    BUFFER_HOPS = ES_BATCH, /* how far pushing may run ahead of pulling, in hops beyond two windows */
    INT8_ROWS = 16,         /* rows that are quantised together */
    LEAD = 16               /* places before the buffer: the kernel may read one */
};

struct es_frontend {
    es_options options;
    es_spectral spectral;
    es_delta deltas[2];
    es_column_sums column_sums;
    float *mean_pattern; /* [n_features * lanes] */
    es_sliding sliding;
    size_t n_features;
    float *int8_rows; /* [INT8_ROWS][n_features] */

    float *buffer;       /* samples from the next frame on, `capacity` of them */
    size_t capacity;
    size_t left;         /* places before the first sample that framing adds */
    size_t head, fill;   /* the next frame starts at buffer[head]; buffer[fill] is free */
    size_t buffer_start; /* position of buffer[0] in the signal, counted from `left` places before its start */
    float last_sample;   /* for pre-emphasis along the signal */
    bool started;        /* the places on the left are filled */
    bool finished;
    const float *signal;                    /* a whole signal, of n_samples; NULL when they are pushed */
    size_t n_samples, n_computed, n_pulled; /* samples in, static rows computed, rows out */
    uint64_t n_bad;
};

/* ---- framing ---- */

static size_t left_places(const es_options *o)
{
    switch (o->framing) {
    case ES_MIRROR:
        return (size_t)(o->window_length / 2 - o->hop_length / 2);
    case ES_CENTER:
        return (size_t)(o->n_fft / 2 - (o->n_fft - o->window_length) / 2);
    default:
        return 0;
    }
}

size_t es_n_frames(const es_frontend *fe, size_t n)
{
    const size_t window = (size_t)fe->options.window_length, hop = (size_t)fe->options.hop_length;
    if (n == 0)
        return 0;
    switch (fe->options.framing) {
    case ES_MIRROR:
        return (n + hop / 2) / hop;
    case ES_CENTER:
        return 1 + n / hop;
    case ES_TAIL:
        return n <= window ? 1 : 1 + (n - window + hop - 1) / hop;
    default:
        return n < window ? 0 : 1 + (n - window) / hop;
    }
}

/* Static rows that the samples so far determine. */
static size_t frames_available(const es_frontend *fe)
{
    if (fe->finished)
        return es_n_frames(fe, fe->n_samples);
    const size_t window = (size_t)fe->options.window_length, places = fe->n_samples + fe->left;
    return places < window || fe->n_samples == 0 ? 0 : 1 + (places - window) / (size_t)fe->options.hop_length;
}

/* Index in 0..n-1 of what stands at `position` of a signal of n samples that is reflected at both ends for ever. */
static size_t reflected(ptrdiff_t position, size_t n)
{
    const ptrdiff_t length = (ptrdiff_t)n;
    while (position < 0 || position >= length)
        position = position < 0 ? -position - 1 : 2 * length - 1 - position;
    return (size_t)position;
}

/* Where the sample that belongs at a place (counted as buffer_start is) lies in the buffer, by reflection. */
static float mirrored_sample(const es_frontend *fe, size_t place)
{
    const size_t index = reflected((ptrdiff_t)place - (ptrdiff_t)fe->left, fe->n_samples);
    return fe->buffer[index + fe->left - fe->buffer_start];
}

static void fill_left(es_frontend *fe)
{
    for (size_t i = 0; i < fe->left; i++)
        fe->buffer[i] = fe->options.framing == ES_MIRROR ? mirrored_sample(fe, i) : 0.0f;
    fe->started = true;
}

static void compact(es_frontend *fe)
{
    memmove(fe->buffer, fe->buffer + fe->head, (fe->fill - fe->head) * sizeof *fe->buffer);
    fe->buffer_start += fe->head;
    fe->fill -= fe->head;
    fe->head = 0;
}

static size_t length_of(const es_frontend *fe, size_t n_frames)
{
    return (n_frames - 1) * (size_t)fe->options.hop_length + (size_t)fe->options.window_length;
}

/* Along the signal; 0 when there is none, or it runs along each frame. */
static float signal_preemphasis(const es_frontend *fe)
{
    return fe->options.preemphasis_scope == ES_PER_SIGNAL ? fe->options.preemphasis : 0.0f;
}

/* Moves n samples to the end of the buffer, where there is space for them. */
static void store(es_frontend *fe, const float *samples, size_t n)
{
    fe->n_bad += fe->spectral.kernel->take_samples(samples, n, fe->spectral.sample_limit, signal_preemphasis(fe),
                                                   &fe->last_sample, fe->buffer + fe->fill);
    fe->fill += n;
}

/* Stores a whole signal up to a place, or its end. */
static void store_signal(es_frontend *fe, size_t place)
{
    if (fe->head > fe->fill) { /* frames before were read in place */
        fe->buffer_start += fe->head;
        fe->head = fe->fill = 0;
    }
    if (place > fe->buffer_start + fe->capacity)
        compact(fe);
    const size_t end = place < fe->left + fe->n_samples ? place : fe->left + fe->n_samples;
    const size_t stored = fe->buffer_start + fe->fill;
    if (end > stored)
        store(fe, fe->signal + (stored - fe->left), end - stored);
}

/* The next n_frames frames in the buffer; after the end of the signal, places are filled as framing says. */
static const float *stored_frames(es_frontend *fe, size_t n_frames)
{
    const size_t needed = length_of(fe, n_frames);
    if (fe->signal)
        store_signal(fe, fe->buffer_start + fe->head + needed);
    if (!fe->started)
        fill_left(fe);
    if (fe->head + needed > fe->capacity)
        compact(fe);
    for (; fe->fill < fe->head + needed; fe->fill++)
        fe->buffer[fe->fill] =
            fe->options.framing == ES_MIRROR ? mirrored_sample(fe, fe->buffer_start + fe->fill) : 0.0f;
    fe->spectral.n_ahead = 0;
    return fe->buffer + fe->head;
}

/* The next n_frames frames where they lie in a whole signal; NULL when the kernel would not look at their samples, or
 * read others than the signal's. */
static const float *frames_in_place(es_frontend *fe, size_t n_frames)
{
    const size_t hop = (size_t)fe->options.hop_length, lanes = (size_t)fe->spectral.kernel->lanes;
    const size_t start = fe->n_computed * hop - fe->left;
    const size_t end = start + length_of(fe, n_frames) + es_overhang(&fe->spectral);
    if (!fe->signal || signal_preemphasis(fe) > 0.0f || lanes == 1 || n_frames % lanes != 0 ||
        fe->n_computed * hop <= fe->left || end > fe->n_samples)
        return NULL;
    /* The next frames are fetched while these are computed: a long signal lies in distant memory. */
    const size_t n_next = n_frames * hop, n_left = fe->n_samples - end;
    fe->spectral.ahead = fe->signal + end;
    fe->spectral.n_ahead = n_next < n_left ? n_next : n_left;
    return fe->signal + start;
}

/* ---- rows ---- */

/* Up to max_rows static rows. */
static size_t static_rows(es_frontend *fe, float *rows, size_t max_rows)
{
    es_spectral *sp = &fe->spectral;
    size_t n = frames_available(fe) - fe->n_computed;
    n = n < max_rows ? n : max_rows;
    n = n < BUFFER_HOPS ? n : BUFFER_HOPS;
    if (n == 0)
        return 0;
    const float *frames = frames_in_place(fe, n);
    if (!frames || !sp->kernel->rows(sp, frames, n, rows))
        sp->kernel->rows(sp, stored_frames(fe, n), n, rows);
    fe->head += n * (size_t)fe->options.hop_length;
    fe->n_computed += n;
    return n;
}

/* Up to max_rows rows with `order` orders of deltas. */
static size_t delta_rows(es_frontend *fe, int order, float *rows, size_t max_rows)
{
    if (order == 0)
        return static_rows(fe, rows, max_rows);
    es_delta *delta = &fe->deltas[order - 1];
    const size_t width_out = delta->width_in + delta->n_slopes;
    size_t n = 0;
    while (n < max_rows) {
        bool ended = false;
        while (!es_delta_ready(delta, ended) && !ended) {
            size_t wanted;
            float *slot = es_delta_slots(delta, &wanted);
            const size_t received = delta_rows(fe, order - 1, slot, wanted);
            es_delta_received(delta, received);
            if (received > 0)
                continue;
            if (fe->finished)
                ended = true;
            else
                return n;
        }
        if (!es_delta_ready(delta, ended))
            return n;
        es_delta_emit(delta, rows + n++ * width_out);
    }
    return n;
}

size_t es_ready(const es_frontend *fe)
{
    const size_t wait = fe->finished ? 0 : (size_t)(fe->options.delta_order * fe->options.delta_window);
    const size_t n_frames = frames_available(fe);
    return n_frames < wait + fe->n_pulled ? 0 : n_frames - wait - fe->n_pulled;
}

size_t es_pull(es_frontend *fe, float *rows, size_t max_frames)
{
    size_t n = 0;
    while (n < max_frames) {
        float *row = rows + n * fe->n_features;
        const size_t k = delta_rows(fe, fe->options.delta_order, row, max_frames - n);
        if (k == 0)
            break;
        if (fe->options.normalize == ES_NORMALIZE_SLIDING)
            for (size_t i = 0; i < k; i++)
                es_sliding_row(&fe->sliding, row + i * fe->n_features);
        n += k;
    }
    fe->n_pulled += n;
    return n;
}

size_t es_push(es_frontend *fe, const float *samples, size_t n)
{
    if (fe->finished)
        return 0;
    if (fe->capacity - fe->fill < n && fe->head > 0)
        compact(fe);
    const size_t space = fe->capacity - fe->fill;
    n = n < space ? n : space;
    store(fe, samples, n);
    fe->n_samples += n;
    return n;
}

void es_finish(es_frontend *fe)
{
    fe->finished = true;
}

void es_normalize_rows(es_frontend *fe, float *rows, size_t n_frames)
{
    if (fe->options.normalize != ES_NORMALIZE_UTTERANCE || n_frames == 0)
        return;
    if (fe->options.normalize_variance)
        es_normalize_utterance(&fe->column_sums, rows, n_frames);
    else
        fe->spectral.kernel->subtract_mean(rows, n_frames, fe->n_features, fe->column_sums.sum, fe->mean_pattern);
}

/* ---- a whole signal ---- */

/* A new signal, of which everything is there. */
static void begin_whole(es_frontend *fe, const float *samples, size_t n)
{
    es_reset(fe);
    fe->signal = samples;
    fe->n_samples = n;
    fe->finished = true;
}

/* Samples behind the last frame may be bad, too. */
static void end_whole(es_frontend *fe)
{
    store_signal(fe, fe->left + fe->n_samples);
    fe->signal = NULL;
}

size_t es_process(es_frontend *fe, const float *samples, size_t n, float *rows)
{
    begin_whole(fe, samples, n);
    const size_t n_frames = es_pull(fe, rows, es_ready(fe));
    end_whole(fe);
    es_normalize_rows(fe, rows, n_frames);
    return n_frames;
}

size_t es_process_int8(es_frontend *fe, const float *samples, size_t n, const float *scale, const float *offset,
                       int8_t *quantized, float *work)
{
    if (fe->options.normalize == ES_NORMALIZE_UTTERANCE) {
        const size_t n_frames = es_process(fe, samples, n, work);
        es_quantize_rows(work, n_frames, fe->n_features, scale, offset, quantized);
        return n_frames;
    }
    begin_whole(fe, samples, n);
    for (size_t k; (k = es_pull(fe, fe->int8_rows, INT8_ROWS)) > 0; quantized += k * fe->n_features)
        es_quantize_rows(fe->int8_rows, k, fe->n_features, scale, offset, quantized);
    end_whole(fe);
    return fe->n_pulled;
}

/* ---- life ---- */

size_t es_n_features(const es_frontend *fe)
{
    return fe->n_features;
}

const char *es_simd_name(const es_frontend *fe)
{
    return fe->spectral.kernel->name;
}

uint64_t es_bad_samples(const es_frontend *fe)
{
    return fe->n_bad;
}

void es_reset(es_frontend *fe)
{
    fe->head = fe->buffer_start = 0;
    fe->fill = fe->left;
    fe->last_sample = 0.0f;
    fe->started = fe->finished = false;
    fe->signal = NULL;
    fe->n_samples = fe->n_computed = fe->n_pulled = 0;
    fe->n_bad = 0;
    for (int i = 0; i < fe->options.delta_order; i++)
        es_delta_reset(&fe->deltas[i]);
    if (fe->options.normalize == ES_NORMALIZE_SLIDING)
        es_sliding_reset(&fe->sliding);
}

/* Lays the front end out in the arena; with a base, the result stands at its start. */
static void lay_out(es_frontend *fe, const es_options *o, es_arena *arena)
{
    es_arena_take(arena, sizeof *fe);
    *fe = (es_frontend){.options = *o, .left = left_places(o)};
    const es_kernel *kernel = es_choose_kernel(o->simd);
    es_spectral_init(&fe->spectral, o, kernel, arena);
    size_t width = (size_t)fe->spectral.n_static;
    for (int i = 0; i < o->delta_order; i++) {
        es_delta_init(&fe->deltas[i], width, (size_t)fe->spectral.n_static, (size_t)o->delta_window,
                      (size_t)kernel->lanes, arena);
        width += (size_t)fe->spectral.n_static;
    }
    fe->n_features = width;
    if (o->normalize != ES_NORMALIZE_NONE)
        es_column_sums_init(&fe->column_sums, width, o->normalize_variance, arena);
    if (o->normalize == ES_NORMALIZE_UTTERANCE)
        fe->mean_pattern = es_arena_floats(arena, width * (size_t)kernel->lanes);
    if (o->normalize == ES_NORMALIZE_SLIDING)
        es_sliding_init(&fe->sliding, &fe->column_sums, (size_t)o->normalize_frames, arena);
    fe->int8_rows = es_arena_floats(arena, INT8_ROWS * width);
    fe->capacity = 2 * (size_t)o->window_length + BUFFER_HOPS * (size_t)o->hop_length;
    fe->buffer = es_arena_zeros(arena, LEAD + fe->capacity + es_overhang(&fe->spectral));
    if (fe->buffer)
        fe->buffer += LEAD;
}

size_t es_frontend_size(const es_options *options)
{
    if (es_options_problem(options))
        return 0;
    es_frontend measured;
    es_arena arena = {NULL, 0};
    lay_out(&measured, options, &arena);
    return arena.used;
}

es_frontend *es_frontend_init(void *memory, size_t size, const es_options *options)
{
    const size_t needed = es_frontend_size(options);
    if (needed == 0 || size < needed || memory == NULL || (uintptr_t)memory % ES_ALIGNMENT != 0)
        return NULL;
    es_arena arena = {memory, 0};
    es_frontend *fe = memory;
    lay_out(fe, options, &arena);
    es_reset(fe);
    return fe;
}
