/* Mel triangles.
 *
 * Corner i of n_mels + 2 lies at mel_low + i (mel_high - mel_low) / (n_mels + 1); triangle m rises from corner m to
 * corner m+1 and falls to corner m+2. Scales: HTK as in the HTK Book 5.4; Slaney as in his Auditory Toolbox (1998).
 */
#include "tables.h"

#include <math.h>

static const double slaney_hz_per_mel = 200.0 / 3.0;
static const double slaney_break_hz = 1000.0;
static const double slaney_break_mel = 15.0;

static double slaney_log_step(void)
{
    return log(6.4) / 27.0;
}

static double mel_of_hz(es_mel_scale scale, double hz)
{
    if (scale == ES_MEL_HTK)
        return 1127.0 * log(1.0 + hz / 700.0);
    if (hz < slaney_break_hz)
        return hz / slaney_hz_per_mel;
    return slaney_break_mel + log(hz / slaney_break_hz) / slaney_log_step();
}

static double hz_of_mel(es_mel_scale scale, double mel)
{
    if (scale == ES_MEL_HTK)
        return 700.0 * (exp(mel / 1127.0) - 1.0);
    if (mel < slaney_break_mel)
        return mel * slaney_hz_per_mel;
    return slaney_break_hz * exp((mel - slaney_break_mel) * slaney_log_step());
}

/* Corner of the triangles in Hz. */
static double corner_hz(const es_options *o, int32_t corner)
{
    const double low = mel_of_hz(o->mel_scale, o->low_hz);
    const double high = mel_of_hz(o->mel_scale, o->high_hz);
    return hz_of_mel(o->mel_scale, low + (high - low) * corner / (o->n_mels + 1));
}

/* The coordinate along which the sides are straight: mel, Hz or bin. */
static double corner_position(const es_options *o, int32_t corner)
{
    const double hz = corner_hz(o, corner);
    switch (o->mel_slope) {
    case ES_SLOPE_MEL:
        return mel_of_hz(o->mel_scale, hz);
    case ES_SLOPE_BIN:
        /* The small addition keeps a corner that is a whole bin from being rounded down to the one below. */
        return floor((o->n_fft + 1) * hz / o->rate_hz + 1e-9);
    default:
        return hz;
    }
}

static double bin_position(const es_options *o, int32_t bin)
{
    const double hz = (double)bin * o->rate_hz / o->n_fft;
    switch (o->mel_slope) {
    case ES_SLOPE_MEL:
        return mel_of_hz(o->mel_scale, hz);
    case ES_SLOPE_BIN:
        return bin;
    default:
        return hz;
    }
}

es_triangle es_mel_triangle(const es_options *o, int32_t index)
{
    double height = o->power_scale;
    if (o->mel_norm == ES_NORM_SLANEY)
        height *= 2.0 / (corner_hz(o, index + 2) - corner_hz(o, index));
    return (es_triangle){corner_position(o, index), corner_position(o, index + 1), corner_position(o, index + 2),
                         height};
}

double es_mel_weight(const es_options *o, const es_triangle *triangle, int32_t bin)
{
    const double at = bin_position(o, bin);
    if (at < triangle->left || at >= triangle->right)
        return 0.0;
    if (at < triangle->peak)
        return triangle->height * (at - triangle->left) / (triangle->peak - triangle->left);
    return triangle->height * (triangle->right - at) / (triangle->right - triangle->peak);
}

es_band es_mel_band(const es_options *o, const es_triangle *triangle)
{
    const int32_t last_bin = o->n_fft / 2;
    int32_t first = 0;
    while (first <= last_bin && es_mel_weight(o, triangle, first) <= 0.0)
        first++;
    int32_t end = first;
    while (end <= last_bin && es_mel_weight(o, triangle, end) > 0.0)
        end++;
    return first > last_bin ? (es_band){0, 0} : (es_band){first, end - first};
}
