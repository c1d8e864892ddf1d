/* Time per frame of the default MFCC, a whole signal and hop by hop, with every kind of instructions this processor has.
 *
 *     bench [seconds of signal = 3] [repeats = 300]
 *
 * Prints the best and the median of the repeats. Pin it to a processor (taskset -c 1) and run it on an idle machine.
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edge_ser.h"

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double batch_ns(es_frontend *fe, const float *samples, size_t n, float *rows)
{
    const double start = now_ns();
    const size_t n_frames = es_process(fe, samples, n, rows);
    return (now_ns() - start) / (double)n_frames;
}

static double stream_ns(es_frontend *fe, const float *samples, size_t n, size_t hop, float *row)
{
    es_reset(fe);
    size_t n_rows = 0;
    const double start = now_ns();
    for (size_t i = 0; i + hop <= n; i += hop) {
        es_push(fe, samples + i, hop);
        n_rows += es_pull(fe, row, 1);
    }
    return (now_ns() - start) / (double)n_rows;
}

static void report(const char *what, const char *simd, double *ns, int repeats)
{
    qsort(ns, (size_t)repeats, sizeof *ns, ascending);
    printf("%-8s %-8s best %6.1f  median %6.1f ns a frame\n", simd, what, ns[0], ns[repeats / 2]);
}

int main(int argc, char **argv)
{
    const double seconds = argc > 1 ? atof(argv[1]) : 3.0;
    const int repeats = argc > 2 ? atoi(argv[2]) : 300;
    const size_t n = (size_t)(seconds * 16000.0);
    float *samples = malloc(n * sizeof *samples), *rows = malloc(n / 100 * 13 * sizeof *rows + 64);
    double *ns = malloc((size_t)repeats * sizeof *ns);
    if (n < 1600 || repeats < 1 || !samples || !rows || !ns) {
        fprintf(stderr, "usage: bench [seconds >= 0.1] [repeats >= 1]\n");
        return 2;
    }
    for (size_t i = 0; i < n; i++) /* a vowel-like buzz with some noise */
        samples[i] = 0.2f * sinf(0.05f * (float)i) * sinf(0.0009f * (float)i) + 0.01f * ((float)rand() / RAND_MAX - 0.5f);

    es_options options;
    es_options_init(&options, ES_KALDI);
    options.normalize = ES_NORMALIZE_UTTERANCE;
    for (es_simd simd = ES_SIMD_BASE; simd <= ES_SIMD_AVX512; simd++) {
        options.simd = simd;
        es_frontend *fe = es_frontend_create(&options);
        if (!fe)
            continue;
        for (int i = 0; i < repeats; i++)
            ns[i] = batch_ns(fe, samples, n, rows);
        report("batch", es_simd_name(fe), ns, repeats);
        for (int i = 0; i < repeats; i++)
            ns[i] = stream_ns(fe, samples, n, 160, rows);
        report("stream", es_simd_name(fe), ns, repeats);
        es_frontend_destroy(fe);
    }
    free(samples);
    free(rows);
    free(ns);
    return 0;
}
