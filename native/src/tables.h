/* The tables that create fills: analysis window, mel triangles, cosine transform. Internal. */
#ifndef ES_TABLES_H
#define ES_TABLES_H

#include "edge_ser.h"

/* window[0 .. window_length-1]. */
void es_fill_window(const es_options *options, float *window);

/* A triangle over the power bins. */
typedef struct es_triangle {
    double left, peak, right; /* corners, along the coordinate that mel_slope names */
    double height;            /* power_scale and mel_norm */
} es_triangle;

es_triangle es_mel_triangle(const es_options *options, int32_t index);
double es_mel_weight(const es_options *options, const es_triangle *triangle, int32_t bin);

/* Where a triangle's non-zero weights lie. */
typedef struct es_band {
    int32_t first_bin;
    int32_t n_bins; /* 0 when no bin lies inside */
} es_band;

es_band es_mel_band(const es_options *options, const es_triangle *triangle);

/* Weight of log band `band` in cepstrum `cepstrum`: orthonormal DCT-II, lifter and unit of the logarithm included. */
double es_dct_weight(const es_options *options, int32_t cepstrum, int32_t band);

/* Natural logarithm -> the unit of options->log. */
double es_log_unit(const es_options *options);

#endif
