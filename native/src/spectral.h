/* The spectral stage, from a frame of samples to a static row: its tables, and the kernels that compute it. Internal.
 *
 * A kernel is the hot code compiled for one kind of processor (kernel_*.c include kernel_body.h with a number of lanes).
 * Tables are padded to the lanes of the kernel that will read them. */
#ifndef ES_SPECTRAL_H
#define ES_SPECTRAL_H

#include <stdbool.h>

#include "arena.h"
#include "edge_ser.h"
#include "fft.h"

/* Bands are computed four at a time, from quads of four bins (both one with one lane). */
typedef struct es_band_group {
    int32_t n_quads;       /* of weights in each band of the group: enough for the widest */
    int32_t first_bin[4];  /* of each band */
    int32_t n_quads_of[4]; /* that hold weights of the band */
} es_band_group;

/* Mean and energy of a frame come from those of its pieces, which are computed once for all frames that share them;
 * where window and hop have no common measure, a frame is one piece. */
typedef struct es_pieces {
    int32_t needed;
    int32_t length;             /* samples */
    int32_t distance;           /* from the start of a piece to the start of the next */
    int32_t per_frame, per_hop;
    float per_sample;           /* 1 / length */
    float *inside;              /* [lanes] all bits set for the samples of a piece's last vector that lie in it, else none */
    int32_t *place;             /* where piece p lies, [p % per_hop][p / per_hop]: beside the same piece of the next frame */
    float *mean, *spread;       /* scratch */
} es_pieces;

/* Samples of a batch of frames, emphasised, with frame beside frame: what pass 1 of a block of frames reads. Column c
 * holds samples from c hops on. Where the hop is a whole number of rows of the FFT's table, a column is a hop long and
 * frames share columns: the rows of frame f lie in columns f, f + 1, …; otherwise a column is a frame. */
enum { ES_MAX_COLUMNS = 80 }; /* of a batch, when the hop is as short as a row */
typedef struct es_columns {
    int32_t n_frames;       /* of a batch */
    int32_t length;         /* samples of a column */
    int32_t n_more;         /* columns behind that of the last frame that it reaches into */
    int32_t length_of_last; /* samples that it needs of the last of them */
    int32_t stride;         /* columns, rounded up to a multiple of 4 */
    int32_t *row;           /* [used_rows] where the first sample of a row of frame 0 lies */
    float *samples;         /* [length][stride] */
    float *first;           /* [n_frames] the first sample of each frame */
    float *offset, *energy; /* [n_frames] what is to be subtracted from emphasised samples; raw energy */
} es_columns;

enum { ES_BATCH = 16 }; /* frames in a batch: at least the lanes of any kernel, and a multiple of them */

/* Cepstra first, first + step, … of bands that were folded for them: the cosines of even cepstra are the same for a band
 * and its mirror image, those of odd ones opposite, so they are products with sums and with differences of two bands;
 * of the sums, and of cepstra 0, 4, … and 2, 6, …, the same holds again. */
typedef struct es_dct_part {
    int32_t first, step, n_cepstra;
    int32_t first_band, direction, n_bands; /* where the folded bands lie, in place of the bands: upwards or downwards */
    int32_t width;              /* n_cepstra, rounded up to lanes */
    float *weights;             /* [n_bands][width] */
    const float *block_weights; /* the same with every number `copies` times */
} es_dct_part;

typedef struct es_spectral es_spectral;

typedef struct es_kernel {
    const char *name;
    int32_t lanes;
    int32_t copies; /* of every number in the tables of blocks */
    /* n_frames rows of n_static floats from frames at samples, samples + hop_length, … One float before the first frame
     * and es_overhang floats behind the last may be read; those are to be finite. ES_BATCH frames are the cheapest.
     * Returns false when a block, of `lanes` frames, has read samples that are not finite or together come near
     * sample_limit: its rows are worth nothing then. Frames that make no block are not looked at. */
    bool (*rows)(es_spectral *spectral, const float *samples, size_t n_frames, float *rows);
    /* Copies n samples to out; what is not finite or beyond +-limit becomes 0. Returns how many did. With preemphasis
     * a > 0: out[i] = x[i] - a x[i-1] for these samples x, *previous being x[-1], in and out. */
    size_t (*take_samples)(const float *samples, size_t n, float limit, float preemphasis, float *previous, float *out);
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
    float frame_preemphasis; /* 0 when there is none or it runs along the signal */
    float log_floor, log_unit, power_scale;
    float energy_scale;      /* of the raw energy: input_scale^2 */
    float sample_limit;      /* samples beyond it, before scaling, are bad */

    const float *ahead;      /* samples that will be wanted after this batch, n_ahead of them: fetched meanwhile */
    size_t n_ahead;

    int32_t frame_length;    /* used_rows * n_columns */
    float *window;           /* [frame_length] times input_scale; zeros behind window_length */
    const float *block_window; /* the same with every number `copies` times */
    es_pieces pieces;
    es_columns columns;
    int32_t n_groups;        /* enough for n_mels */
    es_band_group *groups;   /* [n_groups] */
    float *mel_weights;      /* [group][quad][band of the group][bin of the quad] */
    const float *block_mel_weights; /* the same with every number `copies` times */
    int32_t n_parts;
    es_dct_part parts[3];

    /* Scratch, of one frame or, with the frames side by side in the last dimension, of `lanes`. */
    float *emphasised;       /* [frame_length] of one frame, with pre-emphasis in the frame */
    float *power;            /* [bins that are read] */
    float *log_mel;          /* [n_mels, and the energy, rounded up to lanes] */
    float *cepstra;          /* [n_mfcc rounded up to lanes] */
    float *part_cepstra;     /* [4][part_length] of one frame only */
    int32_t part_length;
};

/* Floats that a kernel may read behind a frame. */
static inline size_t es_overhang(const es_spectral *spectral)
{
    return (size_t)(spectral->frame_length - spectral->window_length + spectral->kernel->lanes);
}

/* Takes the tables and scratch from the arena and, unless it only measures, fills the tables. */
void es_spectral_init(es_spectral *spectral, const es_options *options, const es_kernel *kernel, es_arena *arena);

#endif
