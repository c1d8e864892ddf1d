/* The power spectrum of every length against a double DFT. Only log mel bands leave the library, so the kernel is
 * compiled in here. */
#include "check.h"

#include "../../native/src/spectral.h"

#define ES_KERNEL_NAME under_test
#if defined(__SSE2__) || defined(__ARM_NEON)
#define ES_LANES 4
#else
#define ES_LANES 1
#endif
#include "../../native/src/kernel_body.h"

static void compare(int32_t n_fft, int32_t window_length)
{
    es_options options;
    es_options_init(&options, ES_LIBROSA);
    options.n_fft = n_fft;
    options.window_length = window_length;
    options.hop_length = 100;
    options.window = ES_RECTANGULAR;
    es_arena arena = {NULL, 0};
    es_spectral sp;
    es_spectral_init(&sp, &options, &es_kernel_under_test, &arena);
    arena = (es_arena){aligned_alloc(ES_ALIGNMENT, arena.used), 0};
    es_spectral_init(&sp, &options, &es_kernel_under_test, &arena);

    float *samples = calloc((size_t)n_fft + ES_LANES, sizeof *samples);
    fill_noise(samples, (size_t)window_length);
    prepare_frame(&sp, samples, 0.0f, sp.frame);
    fft_power(&sp.fft, 1, sp.frame, sp.power, sp.power_length);

    double worst = 0.0, loudest = 0.0;
    for (int32_t k = 0; k <= n_fft / 2; k++) {
        double re = 0.0, im = 0.0;
        for (int32_t i = 0; i < window_length; i++) {
            const double angle = 2.0 * 3.14159265358979323846 * (double)(((int64_t)k * i) % n_fft) / n_fft;
            re += (double)samples[i] * cos(angle);
            im -= (double)samples[i] * sin(angle);
        }
        const double power = re * re + im * im, difference = fabs(power - (double)sp.power[k]);
        worst = difference > worst ? difference : worst;
        loudest = power > loudest ? power : loudest;
    }
    CHECK(worst < 2e-6 * loudest);
    free(samples);
    free(arena.base);
}

int main(void)
{
    static const int32_t sizes[][2] = {{256, 256}, {256, 200}, {512, 512}, {512, 400}, {512, 401},
                                       {1024, 1024}, {2048, 2048}, {2048, 1102}, {4096, 4096}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        compare(sizes[i][0], sizes[i][1]);
    puts("fft: ok");
    return 0;
}
