/* MFCC of raw 16 kHz mono 16-bit little-endian PCM, as it arrives: a row of numbers for every 10 ms.
 *
 *     mfcc < speech.raw          mfcc speech.raw          arecord -f S16_LE -r 16000 -t raw | mfcc
 */
#include <stdint.h>
#include <stdio.h>

#include "edge_ser.h"

enum { BLOCK = 160, COLUMNS = 13, ROWS = 8 };

static void print_ready(es_frontend *frontend)
{
    float rows[ROWS * COLUMNS];
    size_t n;
    while ((n = es_pull(frontend, rows, ROWS)) > 0)
        for (size_t i = 0; i < n * COLUMNS; i++)
            printf("%.4f%c", (double)rows[i], i % COLUMNS == COLUMNS - 1 ? '\n' : ' ');
}

int main(int argc, char **argv)
{
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : stdin;
    if (!file) {
        perror(argv[1]);
        return 1;
    }
    es_options options;
    es_options_init(&options, ES_KALDI);
    es_frontend *frontend = es_frontend_create(&options);
    if (!frontend) {
        fprintf(stderr, "mfcc: no memory for the front end\n");
        return 1;
    }
    uint8_t bytes[2 * BLOCK];
    size_t n;
    while ((n = fread(bytes, 2, BLOCK, file)) > 0) {
        float samples[BLOCK];
        for (size_t i = 0; i < n; i++)
            samples[i] = (float)(int16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8) / 32768.0f;
        for (size_t taken = 0; taken < n;) {
            taken += es_push(frontend, samples + taken, n - taken);
            print_ready(frontend);
        }
    }
    es_finish(frontend);
    print_ready(frontend);
    es_frontend_destroy(frontend);
    if (file != stdin)
        fclose(file);
    return 0;
}
