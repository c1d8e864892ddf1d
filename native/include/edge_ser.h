/* edge_ser: speech features (MFCC, log-mel) for small recognisers, in portable C11.
 *
 * One front end turns samples into rows of features. Batch and streaming are the same code and give the same bits.
 *
 * Memory:   everything lives in one block, sized by es_frontend_size and filled by es_frontend_init; nothing is
 *           allocated, freed or written outside it afterwards. es_frontend_create takes the block from the heap.
 * Threads:  there is no global state. Different front ends may be used by different threads at once; one front end
 *           belongs to one thread at a time. Functions that take `const es_options *` are pure.
 * Units:    a sample is a float, nominally -1..1, multiplied by `input_scale`; lengths count samples or frames;
 *           frequencies are in Hz. A row is `es_n_features` floats, rows follow each other without gaps.
 */
#ifndef EDGE_SER_H
#define EDGE_SER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(ES_SHARED) && defined(__GNUC__) /* while the shared library is built: only this header is visible */
#pragma GCC visibility push(default)
#endif

#define ES_ALIGNMENT 64 /* of the block given to es_frontend_init, in bytes */

/* Whose conventions the options start from; es_options_init lists what each one fixes. */
typedef enum { ES_KALDI, ES_LIBROSA, ES_HTK } es_preset;

typedef enum { ES_MFCC, ES_LOG_MEL } es_feature;

/* N = window_length, n = 0..N-1. */
typedef enum {
    ES_POVEY,         /* (0.5 - 0.5 cos(2 pi n / (N-1))) ^ 0.85 */
    ES_HAMMING,       /* 0.54 - 0.46 cos(2 pi n / (N-1)) */
    ES_HANN,          /* 0.5 - 0.5 cos(2 pi n / (N-1)) */
    ES_HANN_PERIODIC, /* 0.5 - 0.5 cos(2 pi n / N) */
    ES_BLACKMAN,      /* 0.42 - 0.5 cos(2 pi n / (N-1)) + 0.08 cos(4 pi n / (N-1)) */
    ES_RECTANGULAR
} es_window;

/* Where frames lie on n samples (n > 0; no sample, no frame). W = window_length, H = hop_length. */
typedef enum {
    ES_SNIP,   /* whole frames only: 1 + (n - W) / H, none when n < W (Kaldi, snip_edges = true) */
    ES_MIRROR, /* (n + H/2) / H frames, the signal reflected at both ends (Kaldi, snip_edges = false) */
    ES_CENTER, /* 1 + n / H frames, frame t centred on sample t H, zeros outside (librosa, center = True) */
    ES_TAIL    /* 1 + ceil((n - W) / H) frames, at least one, zeros after the end (python_speech_features) */
} es_framing;

/* y[i] = x[i] - a x[i-1]. */
typedef enum {
    ES_PER_FRAME, /* inside each frame after the mean is removed, x[-1] = x[0] (Kaldi) */
    ES_PER_SIGNAL /* along the whole signal, x[-1] = 0 (python_speech_features) */
} es_preemphasis_scope;

typedef enum {
    ES_MEL_HTK,   /* 1127 ln(1 + f / 700) */
    ES_MEL_SLANEY /* linear below 1 kHz, logarithmic above: 3 f / 200 and 15 + 27 ln(f / 1000) / ln 6.4 */
} es_mel_scale;

typedef enum {
    ES_SLOPE_MEL, /* triangles with straight sides over mel (Kaldi, HTK) */
    ES_SLOPE_HZ,  /* over Hz (librosa) */
    ES_SLOPE_BIN  /* over FFT bins, the corners rounded down to bins (python_speech_features) */
} es_mel_slope;

typedef enum {
    ES_NORM_NONE,  /* triangles of height 1 */
    ES_NORM_SLANEY /* triangles of height 2 / (width in Hz) (librosa, norm = "slaney") */
} es_mel_norm;

typedef enum {
    ES_LN, /* natural logarithm */
    ES_DB  /* 10 log10 */
} es_log;

/* A log energy per frame: takes the place of c0 in an MFCC row, is the last static column of a log-mel row. */
typedef enum {
    ES_ENERGY_NONE,
    ES_ENERGY_RAW,      /* of the frame after its mean is removed (Kaldi, raw_energy = true) */
    ES_ENERGY_WINDOWED, /* of the frame as it enters the FFT (Kaldi, raw_energy = false) */
    ES_ENERGY_SPECTRUM  /* of the n_fft/2 + 1 power bins (python_speech_features) */
} es_energy;

/* Mean (and variance) normalisation of every column. */
typedef enum {
    ES_NORMALIZE_NONE,
    ES_NORMALIZE_UTTERANCE, /* over all rows: es_process does it; when streaming, es_normalize_rows after the end */
    ES_NORMALIZE_SLIDING    /* over the last normalize_frames rows including this one */
} es_normalize;

/* The kind of instructions to use. Kinds differ by rounding only; tests force each one. */
typedef enum {
    ES_SIMD_BEST,  /* the best that this processor has */
    ES_SIMD_BASE,  /* what every processor of the architecture has: SSE2, NEON, or plain C */
    ES_SIMD_AVX2,  /* x86-64-v3 */
    ES_SIMD_AVX512 /* x86-64-v4 */
} es_simd;

typedef struct es_options {
    int32_t rate_hz;
    int32_t window_length; /* samples, hop_length .. n_fft */
    int32_t hop_length;    /* samples */
    int32_t n_fft;         /* 256, 512, 1024, 2048 or 4096 */
    int32_t n_mels;        /* 1 .. 256 */
    int32_t n_mfcc;        /* 1 .. n_mels; not used by ES_LOG_MEL */
    es_feature feature;
    es_framing framing;
    es_window window;
    int32_t remove_dc; /* 0 or 1: subtract the mean of each frame first */
    es_preemphasis_scope preemphasis_scope;
    float preemphasis; /* 0 .. 1; 0 is none */
    es_mel_scale mel_scale;
    es_mel_slope mel_slope;
    es_mel_norm mel_norm;
    float low_hz;      /* lower corner of the first triangle */
    float high_hz;     /* upper corner of the last triangle, at most rate_hz / 2 */
    float power_scale; /* the power spectrum is power_scale |X|^2 */
    es_log log;
    float log_floor;   /* energies below it are raised to it before the logarithm */
    float lifter;      /* L: cepstrum c is multiplied by 1 + L/2 sin(pi c / L); 0 is none */
    es_energy energy;
    float input_scale; /* samples are multiplied by it: 1, or 32768 for a convention made for 16-bit samples */
    int32_t delta_order;  /* 0 none, 1 deltas, 2 deltas and their deltas */
    int32_t delta_window; /* N: a delta is the regression slope over N rows on either side */
    es_normalize normalize;
    int32_t normalize_variance; /* 0 or 1: divide by the standard deviation as well */
    int32_t normalize_frames;   /* of the sliding window */
    es_simd simd;
} es_options;

typedef struct es_frontend es_frontend;

/* Fills *options with 16 kHz, 25/10 ms, 512-point FFT, 40 mel bands, 13 MFCC and the conventions of the preset. */
void es_options_init(es_options *options, es_preset preset);

/* NULL when the options can be used, else a sentence that names the option and its range (static storage). */
const char *es_options_problem(const es_options *options);

/* Bytes of the block for these options; 0 when they cannot be used. */
size_t es_frontend_size(const es_options *options);

/* Builds a front end in `memory` (ES_ALIGNMENT-aligned, es_frontend_size bytes, owned by the caller, who keeps it
 * as long as the front end is used). NULL when the options cannot be used or the memory is unaligned or too small. */
es_frontend *es_frontend_init(void *memory, size_t size, const es_options *options);

/* The same with a block from the heap, to be given back by es_frontend_destroy. NULL also when memory is short. */
es_frontend *es_frontend_create(const es_options *options);
void es_frontend_destroy(es_frontend *frontend); /* NULL is allowed */

/* Columns of a row: (n_mfcc, or n_mels and the energy) times (1 + delta_order). */
size_t es_n_features(const es_frontend *frontend);

/* The instructions in use: "sse2", "avx2", "avx512", "neon" or "scalar" (static storage). */
const char *es_simd_name(const es_frontend *frontend);

/* Rows that n_samples give, from es_process or from push, finish, pull. */
size_t es_n_frames(const es_frontend *frontend, size_t n_samples);

/* ---- a whole signal ---- */

/* Resets, then writes es_n_frames(n_samples) rows to `rows` [frames, features] and returns their number. The rows are
 * the bits that push, finish and pull give. */
size_t es_process(es_frontend *frontend, const float *samples, size_t n_samples, float *rows);

/* The same, written as int8: q = clip(rint(x * scale[column] + offset[column]), -128, 127), rounding each operation
 * to float and ties to even. scale, offset: [features]. `work` [frames, features] is needed (and overwritten) only
 * with ES_NORMALIZE_UTTERANCE, and may be NULL otherwise. */
size_t es_process_int8(es_frontend *frontend, const float *samples, size_t n_samples, const float *scale,
                       const float *offset, int8_t *quantized, float *work);

/* ---- as the samples arrive ---- */

/* Takes up to n samples and returns how many it took: less than n only when the buffer is full, then pull rows and
 * push the rest. At least window_length samples fit after every pull that returned less than was asked for.
 * After es_finish nothing is taken until es_reset. */
size_t es_push(es_frontend *frontend, const float *samples, size_t n_samples);

/* Declares the end of the signal; the rows that wait for later samples or rows become ready. */
void es_finish(es_frontend *frontend);

/* Rows that es_pull would give now. */
size_t es_ready(const es_frontend *frontend);

/* Writes up to max_frames rows and returns their number. With ES_NORMALIZE_UTTERANCE they are not yet normalised:
 * collect them all and call es_normalize_rows. */
size_t es_pull(es_frontend *frontend, float *rows, size_t max_frames);

/* Normalises all rows of an utterance in place as ES_NORMALIZE_UTTERANCE asks; does nothing for the other modes. */
void es_normalize_rows(es_frontend *frontend, float *rows, size_t n_frames);

/* Back to the state after create: a new signal begins, the count of bad samples is 0. */
void es_reset(es_frontend *frontend);

/* Samples since the last reset that were NaN, infinite or beyond 1e12 after scaling (or 1e17 before), and were replaced
 * by 0. */
uint64_t es_bad_samples(const es_frontend *frontend);

#if defined(ES_SHARED) && defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif
