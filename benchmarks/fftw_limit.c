/* The time of FFTW3f alone: one real FFT after the other, as many as a signal has frames, planned with FFTW_PATIENT. */
#define _POSIX_C_SOURCE 200809L
#include <fftw3.h>
#include <stdlib.h>
#include <time.h>

static fftwf_plan plan;
static float *input;

void fftw_prepare(int n_fft, int n_frames)
{
    fftwf_complex *output = fftwf_malloc(sizeof(fftwf_complex) * (size_t)(n_fft / 2 + 1));
    input = fftwf_malloc(sizeof(float) * (size_t)n_fft * (size_t)n_frames);
    plan = fftwf_plan_dft_r2c_1d(n_fft, input, output, FFTW_PATIENT);
    for (int i = 0; i < n_fft * n_frames; i++)
        input[i] = (float)rand() / RAND_MAX - 0.5f;
}

void fftw_run(int n_frames)
{
    for (int i = 0; i < n_frames; i++)
        fftwf_execute(plan);
}
