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

/* sp->power[k * stride + place] against |sum of samples * exp(-2 pi i k i / n_fft)|^2. */
static void compare_frame(const es_spectral *sp, const float *samples, int32_t stride, int32_t place)
{
    const int32_t n_fft = sp->fft.n_fft;
    double worst = 0.0, loudest = 0.0;
    for (int32_t k = 0; k <= n_fft / 2; k++) {
        double re = 0.0, im = 0.0;
        for (int32_t i = 0; i < sp->window_length; i++) {
            const double angle = 2.0 * 3.14159265358979323846 * (double)(((int64_t)k * i) % n_fft) / n_fft;
            re += (double)samples[i] * cos(angle);
            im -= (double)samples[i] * sin(angle);
        }
        const double power = re * re + im * im, difference = fabs(power - (double)sp->power[k * stride + place]);
        worst = difference > worst ? difference : worst;
        loudest = power > loudest ? power : loudest;
    }
    CHECK(worst < 2e-6 * loudest);
}

static void compare(int32_t n_fft, int32_t window_length, int32_t hop_length)
{
    es_options options;
    es_options_init(&options, ES_LIBROSA);
    options.n_fft = n_fft;
    options.window_length = window_length;
    options.hop_length = hop_length;
    options.window = ES_RECTANGULAR;
    es_arena arena = {NULL, 0};
    es_spectral sp;
    es_spectral_init(&sp, &options, &es_kernel_under_test, &arena);
    arena = (es_arena){aligned_alloc(ES_ALIGNMENT, arena.used), 0};
    es_spectral_init(&sp, &options, &es_kernel_under_test, &arena);

    const int32_t n_samples = window_length + hop_length * (ES_LANES - 1);
    float *signal = calloc(1 + (size_t)n_samples + es_overhang(&sp), sizeof *signal), *samples = signal + 1;
    fill_noise(samples, (size_t)n_samples);
    float rows[ES_LANES * 13];
    frame_row(&sp, samples, rows);
    compare_frame(&sp, samples, 1, 0);
#if ES_LANES > 1
    prepare_batch(&sp, samples, ES_LANES);
    block_rows(&sp, 0, ES_LANES, rows);
    for (int f = 0; f < ES_LANES; f++)
        compare_frame(&sp, samples + hop_length * f, ES_LANES, f);
#endif
    free(signal);
    free(arena.base);
}

int main(void)
{
    static const int32_t sizes[][2] = {{256, 256}, {256, 200}, {512, 512}, {512, 400}, {512, 401},
                                       {1024, 1024}, {2048, 2048}, {2048, 1102}, {4096, 4096}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int32_t hop_length = 64; hop_length <= 100; hop_length += 36) /* whole rows of the table, and not */
            compare(sizes[i][0], sizes[i][1], hop_length);
    puts("fft: ok");
    return 0;
}
