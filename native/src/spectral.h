/* From a frame of samples to a static row: window, FFT, mel, logarithm, cosine transform. Internal. */
#ifndef ES_SPECTRAL_H
#define ES_SPECTRAL_H

#include "arena.h"
#include "edge_ser.h"
#include "tables.h"

enum { ES_BLOCK = 4 }; /* frames that are computed together at most */

/* Tables and scratch of the spectral stage; the pointers lead into the front end's block. */
typedef struct es_spectral {
    int32_t window_length, hop_length, n_fft, n_mels, n_mfcc, n_static;
    es_feature feature;
    es_energy energy;
    int32_t remove_dc;
    float frame_preemphasis; /* 0 when there is none or it runs along the signal */
    float log_floor, log_unit, power_scale;
    float *window;           /* [window_length] */
    float *twiddle;          /* [n_fft] cos and sin, see fft.c */
    es_band *bands;          /* [n_mels] */
    float *mel_weights;      /* the bands' weights, one after the other */
    float *dct;              /* [n_mfcc][n_mels] */
    float *frame;            /* [n_fft] scratch */
    float *power;            /* [n_fft / 2 + 1] scratch */
    float *log_mel;          /* [n_mels] scratch */
} es_spectral;

/* Takes the tables and scratch from the arena and, unless it only measures, fills the tables. */
void es_spectral_init(es_spectral *spectral, const es_options *options, es_arena *arena);

/* n_frames (at most ES_BLOCK) rows from frames that start at samples, samples + hop_length, … */
void es_spectral_rows(es_spectral *spectral, const float *samples, size_t n_frames, float *rows);

/* Copies n samples times scale to out; what is not finite or beyond 1e12 becomes 0. Returns how many did.
 * With preemphasis a > 0: out[i] = y[i] - a y[i-1] for the scaled samples y, *previous being y[-1] in and out. */
size_t es_take_samples(const float *samples, size_t n, float scale, float preemphasis, float *previous, float *out);

#endif
