/* The options: what each preset fixes, and which values are allowed. */
#include "spectral.h"

#include <float.h>
#include <math.h>

void es_options_init(es_options *options, es_preset preset)
{
    /* Kaldi: kaldi-native-fbank's MfccOptions, with 40 bands; samples in the 16-bit range as Kaldi reads them. */
    *options = (es_options){
        .rate_hz = 16000,
        .window_length = 400,
        .hop_length = 160,
        .n_fft = 512,
        .n_mels = 40,
        .n_mfcc = 13,
        .feature = ES_MFCC,
        .framing = ES_SNIP,
        .window = ES_POVEY,
        .remove_dc = 1,
        .preemphasis_scope = ES_PER_FRAME,
        .preemphasis = 0.97f,
        .mel_scale = ES_MEL_HTK,
        .mel_slope = ES_SLOPE_MEL,
        .mel_norm = ES_NORM_NONE,
        .low_hz = 20.0f,
        .high_hz = 8000.0f,
        .power_scale = 1.0f,
        .log = ES_LN,
        .log_floor = FLT_EPSILON,
        .lifter = 22.0f,
        .energy = ES_ENERGY_RAW,
        .input_scale = 32768.0f,
        .delta_window = 2,
        .normalize_frames = 300,
    };
    if (preset == ES_LIBROSA) { /* librosa.feature.mfcc with top_db=None */
        options->framing = ES_CENTER;
        options->window = ES_HANN_PERIODIC;
        options->remove_dc = 0;
        options->preemphasis = 0.0f;
        options->mel_scale = ES_MEL_SLANEY;
        options->mel_slope = ES_SLOPE_HZ;
        options->mel_norm = ES_NORM_SLANEY;
        options->low_hz = 0.0f;
        options->log = ES_DB;
        options->log_floor = 1e-10f;
        options->lifter = 0.0f;
        options->energy = ES_ENERGY_NONE;
        options->input_scale = 1.0f;
    }
    if (preset == ES_HTK) { /* python_speech_features.mfcc with winfunc=numpy.hamming */
        options->framing = ES_TAIL;
        options->window = ES_HAMMING;
        options->remove_dc = 0;
        options->preemphasis_scope = ES_PER_SIGNAL;
        options->mel_slope = ES_SLOPE_BIN;
        options->low_hz = 0.0f;
        options->power_scale = 1.0f / 512.0f;
        options->log_floor = (float)DBL_EPSILON;
        options->energy = ES_ENERGY_SPECTRUM;
    }
}

const char *es_options_problem(const es_options *o)
{
#define REQUIRE(condition, message) \
    if (!(condition))               \
    return message
    REQUIRE(o->rate_hz >= 1000 && o->rate_hz <= 384000, "rate_hz must be 1000 to 384000");
    REQUIRE(o->n_fft >= 256 && o->n_fft <= 4096 && (o->n_fft & (o->n_fft - 1)) == 0,
            "n_fft must be 256, 512, 1024, 2048 or 4096");
    REQUIRE(o->window_length >= 16 && o->window_length <= o->n_fft, "the window must have 16 to n_fft samples");
    REQUIRE(o->hop_length >= 1 && o->hop_length <= o->window_length, "the hop must have 1 to window-length samples");
    REQUIRE(o->n_mels >= 1 && o->n_mels <= 256, "n_mels must be 1 to 256");
    REQUIRE(o->feature == ES_MFCC || o->feature == ES_LOG_MEL, "feature must be mfcc or log_mel");
    REQUIRE(o->feature == ES_LOG_MEL || (o->n_mfcc >= 1 && o->n_mfcc <= o->n_mels), "n_mfcc must be 1 to n_mels");
    REQUIRE(o->framing >= ES_SNIP && o->framing <= ES_TAIL, "framing must be snip, mirror, center or tail");
    REQUIRE(o->window >= ES_POVEY && o->window <= ES_RECTANGULAR, "window is unknown");
    REQUIRE(o->remove_dc == 0 || o->remove_dc == 1, "remove_dc must be 0 or 1");
    REQUIRE(o->preemphasis_scope == ES_PER_FRAME || o->preemphasis_scope == ES_PER_SIGNAL,
            "preemphasis_scope must be frame or signal");
    REQUIRE(o->preemphasis >= 0.0f && o->preemphasis <= 1.0f, "preemphasis must be 0 to 1");
    REQUIRE(o->mel_scale == ES_MEL_HTK || o->mel_scale == ES_MEL_SLANEY, "mel_scale must be htk or slaney");
    REQUIRE(o->mel_slope >= ES_SLOPE_MEL && o->mel_slope <= ES_SLOPE_BIN, "mel_slope must be mel, hz or bin");
    REQUIRE(o->mel_norm == ES_NORM_NONE || o->mel_norm == ES_NORM_SLANEY, "mel_norm must be none or slaney");
    REQUIRE(o->low_hz >= 0.0f && o->low_hz < o->high_hz, "low_hz must be 0 to high_hz");
    REQUIRE(o->high_hz <= 0.5f * (float)o->rate_hz, "high_hz must be at most half of rate_hz");
    REQUIRE(o->power_scale > 0.0f && o->power_scale <= 1.0f, "power_scale must be above 0 and at most 1");
    REQUIRE(o->log == ES_LN || o->log == ES_DB, "log must be natural or db");
    REQUIRE(o->log_floor >= 1e-30f && o->log_floor <= 1.0f, "log_floor must be 1e-30 to 1");
    REQUIRE(o->lifter >= 0.0f && o->lifter <= 1000.0f, "lifter must be 0 (none) to 1000");
    REQUIRE(o->energy >= ES_ENERGY_NONE && o->energy <= ES_ENERGY_SPECTRUM,
            "energy must be none, raw, windowed or spectrum");
    REQUIRE(o->input_scale > 0.0f && o->input_scale <= 1e6f, "input_scale must be above 0 and at most 1e6");
    REQUIRE(o->delta_order >= 0 && o->delta_order <= 2, "delta_order must be 0, 1 or 2");
    REQUIRE(o->delta_window >= 1 && o->delta_window <= 16, "delta_window must be 1 to 16");
    REQUIRE(o->normalize >= ES_NORMALIZE_NONE && o->normalize <= ES_NORMALIZE_SLIDING,
            "normalize must be none, utterance or sliding");
    REQUIRE(o->normalize_variance == 0 || o->normalize_variance == 1, "normalize_variance must be 0 or 1");
    REQUIRE(o->normalize_frames >= 1 && o->normalize_frames <= 100000, "normalize_frames must be 1 to 100000");
    REQUIRE(es_choose_kernel(o->simd) != NULL, "this processor does not have the instructions asked for");
#undef REQUIRE
    return NULL;
}
