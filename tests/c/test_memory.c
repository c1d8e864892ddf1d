/* Nothing is allocated after create, and nothing outside the block is touched: exact-size buffers under a sanitizer. */
#include "check.h"

#include <malloc.h>

#include "../../native/src/spectral.h"

static size_t allocated_bytes(void)
{
    return mallinfo2().uordblks;
}

/* Samples and rows in heap buffers of exactly the right size, so that one float too many is seen. */
static void run(const es_options *options, size_t n)
{
    es_frontend *fe = es_frontend_create(options);
    CHECK(fe != NULL);
    const size_t width = es_n_features(fe), n_frames = es_n_frames(fe, n);
    float *samples = malloc(n * sizeof *samples), *rows = malloc(n_frames * width * sizeof *rows);
    float *streamed = malloc(n_frames * width * sizeof *rows), *work = malloc(n_frames * width * sizeof *rows);
    float *scale = malloc(width * sizeof *scale), *offset = malloc(width * sizeof *offset);
    int8_t *quantized = malloc(n_frames * width);
    fill_noise(samples, n);
    for (size_t i = 0; i < width; i++) {
        scale[i] = 3.0f;
        offset[i] = (float)i;
    }

    const size_t before = allocated_bytes();
    CHECK(es_process(fe, samples, n, rows) == n_frames);
    es_reset(fe);
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        const size_t piece = n - i < 777 ? n - i : 777;
        i += es_push(fe, samples + i, piece);
        done += es_pull(fe, streamed + done * width, n_frames - done);
    }
    es_finish(fe);
    done += es_pull(fe, streamed + done * width, n_frames - done);
    es_normalize_rows(fe, streamed, done);
    CHECK(es_process_int8(fe, samples, n, scale, offset, quantized, work) == n_frames);
    CHECK(allocated_bytes() == before);

    CHECK(done == n_frames);
    CHECK(n_frames == 0 || memcmp(rows, streamed, n_frames * width * sizeof *rows) == 0);
    for (size_t i = 0; i < n_frames * width; i++)
        CHECK(isfinite(rows[i]));
    free(samples);
    free(rows);
    free(streamed);
    free(work);
    free(scale);
    free(offset);
    free(quantized);
    es_frontend_destroy(fe);
}

static void block_is_never_left(void)
{
    es_options options;
    es_options_init(&options, ES_KALDI);
    const size_t size = es_frontend_size(&options), guard = 4096;
    unsigned char *memory = aligned_alloc(ES_ALIGNMENT, size + 2 * guard);
    memset(memory, 0xA5, size + 2 * guard);
    CHECK(es_frontend_init(memory + guard, size - 1, &options) == NULL);
    CHECK(es_frontend_init(memory + guard + 4, size, &options) == NULL);
    es_frontend *fe = es_frontend_init(memory + guard, size, &options);
    CHECK(fe != NULL);
    static float samples[16000], rows[98 * 13];
    fill_noise(samples, 16000);
    CHECK(es_process(fe, samples, 16000, rows) == 98);
    for (size_t i = 0; i < guard; i++)
        CHECK(memory[i] == 0xA5 && memory[guard + size + i] == 0xA5);
    free(memory);
}

int main(void)
{
    static const int32_t n_ffts[] = {256, 512, 1024, 2048, 4096};
    static const size_t lengths[] = {0, 1, 79, 80, 399, 400, 401, 4097, 9000};
    block_is_never_left();
    for (es_simd simd = ES_SIMD_BASE; simd <= ES_SIMD_AVX512; simd++) {
        if (!es_choose_kernel(simd))
            continue;
        for (size_t s = 0; s < sizeof n_ffts / sizeof *n_ffts; s++) {
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
                es_options options;
                es_options_init(&options, (es_preset)(l % 3));
                options.simd = simd;
                options.n_fft = n_ffts[s];
                options.window_length = n_ffts[s] - (int32_t)(17 * l) % 200;
                options.hop_length = 100 + (int32_t)l;
                options.framing = (es_framing)((l + s) % 4);
                options.feature = (es_feature)(l % 2);
                options.n_mels = 1 + (int32_t)(13 * l + 29 * s) % 128;
                options.n_mfcc = 1 + (options.n_mels - 1) / 2;
                options.energy = (es_energy)(s % 4);
                options.delta_order = (int32_t)(l % 3);
                options.normalize = (es_normalize)((l + s) % 3);
                options.normalize_variance = (int32_t)(s % 2);
                options.normalize_frames = 7;
                CHECK(es_options_problem(&options) == NULL);
                run(&options, lengths[l]);
            }
        }
    }
    puts("memory: ok");
    return 0;
}
