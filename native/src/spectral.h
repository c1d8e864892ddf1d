/* The spectral stage, from a frame of samples to a static row: its tables, and the kernels that compute it. Internal.
 *
 * A kernel is the hot code compiled for one kind of processor (kernel_*.c include kernel_body.h with a number of lanes).
 * Tables are padded to the lanes of the kernel that will read them. */
#ifndef ES_SPECTRAL_H
#define ES_SPECTRAL_H

#include "arena.h"
#include "edge_ser.h"
#include "fft.h"

/* Bands are computed four at a time (one at a time with one lane). */
typedef struct es_band_group {
    int32_t n_vectors;    /* of weights in each band of the group: enough for the widest */
    int32_t first_bin[4]; /* of each band */
} es_band_group;

typedef struct es_spectral es_spectral;

typedef struct es_kernel {
    const char *name;
    int32_t lanes;
    /* n_frames rows of n_static floats from frames at samples, samples + hop_length, … Up to lanes - 1 floats behind
     * the last frame are read. */
    void (*rows)(es_spectral *spectral, const float *samples, size_t n_frames, float *rows);
    /* Copies n samples times scale to out; what is not finite or beyond 1e12 becomes 0. Returns how many did. With
     * preemphasis a > 0: out[i] = y[i] - a y[i-1] for the scaled samples y, *previous being y[-1], in and out. */
    size_t (*take_samples)(const float *samples, size_t n, float scale, float preemphasis, float *previous, float *out);
    /* Subtracts from each column its mean over n_rows > 0 rows. Scratch: sum [width], pattern [width * lanes]. */
    void (*subtract_mean)(float *rows, size_t n_rows, size_t width, double *sum, float *pattern);
} es_kernel;

/* The best kernel for this processor, or the one asked for; NULL when that one cannot run here. */
const es_kernel *es_choose_kernel(es_simd simd);

struct es_spectral {
    const es_kernel *kernel;
    es_fft fft;
    int32_t window_length, hop_length, n_mels, n_mfcc, n_static;
    es_feature feature;
    es_energy energy;
    int32_t remove_dc;
    float per_sample;        /* 1 / window_length */
    float frame_preemphasis; /* 0 when there is none or it runs along the signal */
    float log_floor, log_unit, power_scale;

    int32_t frame_length;    /* used_rows * n_columns */
    float *window;           /* [frame_length] zeros behind window_length */
    float *inside;           /* [lanes] 1 for the samples of the frame's last vector that lie in the window, else 0 */
    int32_t n_groups;        /* enough for n_mels, a multiple of the groups in `lanes` bands */
    es_band_group *groups;   /* [n_groups] */
    float *mel_weights;      /* [group][vector][band of the group][lanes] */
    int32_t n_folded;        /* half of n_mels, rounded up to an even number */
    int32_t n_even, n_odd;   /* cepstra of either kind, rounded up to lanes */
    float *dct_even;         /* [n_folded][n_even]: weights of log_mel[m] + log_mel[n_mels-1-m] in cepstra 0, 2, … */
    float *dct_odd;          /* [n_folded][n_odd]: of log_mel[m] - log_mel[n_mels-1-m] in cepstra 1, 3, … */

    float *frame;            /* [ES_BLOCK][frame_length] scratch */
    int32_t power_length, log_mel_length, folded_length;
    float *power;            /* [ES_BLOCK][power_length] scratch: n_fft/2 + 1 bins and zeros */
    float *log_mel;          /* [ES_BLOCK][log_mel_length] scratch */
    float *folded;           /* [ES_BLOCK][2][folded_length] scratch: sums and differences of bands */
    float *cepstra;          /* [ES_BLOCK][n_even + n_odd] scratch */
};

/* Takes the tables and scratch from the arena and, unless it only measures, fills the tables. */
void es_spectral_init(es_spectral *spectral, const es_options *options, const es_kernel *kernel, es_arena *arena);

#endif
