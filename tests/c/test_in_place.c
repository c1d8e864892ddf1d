/* es_process reads frames where the caller has them: nothing outside the signal is touched, and the rows are the bits
 * that pushing gives, bad samples or none. Pages that cannot be read lie on both sides of the signal. */
#define _DEFAULT_SOURCE
#include "check.h"

#include <sys/mman.h>
#include <unistd.h>

#include "../../native/src/spectral.h"

enum { ROOM = 16 }; /* readable pages */

static unsigned char *pages;
static size_t page;

/* A copy of n samples that ends, or with at_end = 0 begins, where reading stops. */
static const float *guarded(const float *samples, size_t n, int at_end)
{
    unsigned char *first = pages + page, *place = at_end ? first + ROOM * page - n * sizeof *samples : first;
    CHECK(n * sizeof *samples <= ROOM * page);
    memset(first, 0xff, ROOM * page); /* NaN */
    memcpy(place, samples, n * sizeof *samples);
    return (const float *)(const void *)place;
}

static size_t pushed(es_frontend *fe, const float *samples, size_t n, float *rows, size_t n_frames)
{
    size_t done = 0;
    es_reset(fe);
    for (size_t i = 0; i < n;) {
        const size_t piece = n - i < 333 ? n - i : 333;
        i += es_push(fe, samples + i, piece);
        done += es_pull(fe, rows + done * es_n_features(fe), n_frames - done);
    }
    es_finish(fe);
    return done + es_pull(fe, rows + done * es_n_features(fe), n_frames - done);
}

static void compare(const es_options *options, size_t n, const size_t *bad, size_t n_bad)
{
    static const float values[] = {NAN, INFINITY, 1e30f, -INFINITY, 1e14f};
    es_frontend *fe = es_frontend_create(options);
    CHECK(fe != NULL);
    const size_t width = es_n_features(fe), n_frames = es_n_frames(fe, n), size = n_frames * width;
    float *samples = malloc((n + 1) * sizeof *samples), *rows = malloc((size + 1) * sizeof *rows);
    float *streamed = malloc((size + 1) * sizeof *rows), *factor = malloc(width * sizeof *factor);
    int8_t *quantized = malloc(size + 1), *of_streamed = malloc(size + 1);
    fill_noise(samples, n);
    for (size_t i = 0; i < n_bad; i++)
        samples[bad[i]] = 0.0f;
    CHECK(pushed(fe, samples, n, streamed, n_frames) == n_frames);
    for (size_t i = 0; i < n_bad; i++)
        samples[bad[i]] = values[i % 5];
    CHECK(pushed(fe, samples, n, rows, n_frames) == n_frames);
    CHECK(es_bad_samples(fe) == n_bad);
    CHECK(memcmp(rows, streamed, size * sizeof *rows) == 0);
    for (size_t i = 0; i < width; i++)
        factor[i] = 4.0f; /* exact, so it is all the same whether the product is fused with the sum */
    for (size_t i = 0; i < size; i++)
        of_streamed[i] = (int8_t)fminf(fmaxf(rintf(streamed[i] * 4.0f + 4.0f), -128.0f), 127.0f);

    for (int at_end = 0; at_end < 2; at_end++) {
        const float *signal = guarded(samples, n, at_end);
        memset(rows, 0, size * sizeof *rows);
        CHECK(es_process(fe, signal, n, rows) == n_frames);
        CHECK(es_bad_samples(fe) == n_bad);
        CHECK(memcmp(rows, streamed, size * sizeof *rows) == 0);
        CHECK(es_process_int8(fe, signal, n, factor, factor, quantized, NULL) == n_frames);
        CHECK(es_bad_samples(fe) == n_bad);
        CHECK(memcmp(quantized, of_streamed, size) == 0);
    }
    free(samples);
    free(rows);
    free(streamed);
    free(factor);
    free(quantized);
    free(of_streamed);
    es_frontend_destroy(fe);
}

/* Without bad samples, and with one or more in the first frames, the middle, the last frame and behind it. */
static void compare_all(const es_options *options, size_t n)
{
    compare(options, n, NULL, 0);
    if (n < 300)
        return;
    const size_t half = n / 2, places[][3] = {
        {0, 1, 2}, {half, half + 1, half + 100}, {n - 1, 0, half}, {n - 150, n - 20, n - 1}, {1, half - 137, n - 2},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        compare(options, n, places[i], 1 + i % 3);
}

/* With one bad sample at each place around the end of a batch. */
static void compare_around(const es_options *options, size_t n, size_t end)
{
    for (size_t bad = end - 40; bad < end + 40; bad++)
        compare(options, n, &bad, 1);
}

int main(void)
{
    /* Hops that are whole rows of the FFT's table, and others; pieces of statistics that end inside a vector; lengths
     * that read behind the window. */
    static const int32_t lengths[][3] = {{512, 400, 160}, {512, 504, 84}, {512, 400, 130}, {256, 256, 128}, {1024, 700, 16}};
    page = (size_t)sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, (ROOM + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK(mprotect(pages + page, ROOM * page, PROT_READ | PROT_WRITE) == 0);
    for (es_simd simd = ES_SIMD_BASE; simd <= ES_SIMD_AVX512; simd++) {
        if (!es_choose_kernel(simd))
            continue;
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            for (int preset = ES_KALDI; preset <= ES_HTK; preset++) {
                es_options options;
                es_options_init(&options, (es_preset)preset);
                options.simd = simd;
                options.n_fft = lengths[l][0];
                options.window_length = lengths[l][1];
                options.hop_length = lengths[l][2];
                options.framing = (es_framing)((preset + l) % 4);
                options.delta_order = (int32_t)(l % 3);
                options.normalize = l % 2 ? ES_NORMALIZE_SLIDING : ES_NORMALIZE_NONE;
                CHECK(es_options_problem(&options) == NULL);
                const size_t window = (size_t)options.window_length, hop = (size_t)options.hop_length;
                const size_t n[] = {0, 1, window - 1, window, window + 15 * hop, window + 16 * hop, window + 31 * hop + 1,
                                    window + 40 * hop + 15, window + 48 * hop - 1, window + 80 * hop};
                for (size_t i = 0; i < sizeof n / sizeof *n; i++)
                    compare_all(&options, n[i]);
                options.framing = ES_SNIP;
                compare_around(&options, window + 48 * hop, window + 31 * hop);
            }
        }
    }
    puts("in place: ok");
    return 0;
}
