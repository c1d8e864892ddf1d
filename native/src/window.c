/* Analysis windows; the formulas are in edge_ser.h. */
#include "tables.h"

#include <math.h>

#define PI 3.14159265358979323846

void es_fill_window(const es_options *options, float *window)
{
    const int32_t n = options->window_length;
    const double turn = 2.0 * PI / (options->window == ES_HANN_PERIODIC ? n : n - 1);
    for (int32_t i = 0; i < n; i++) {
        const double c = cos(turn * i);
        switch (options->window) {
        case ES_POVEY:
            window[i] = (float)pow(0.5 - 0.5 * c, 0.85);
            break;
        case ES_HAMMING:
            window[i] = (float)(0.54 - 0.46 * c);
            break;
        case ES_HANN:
        case ES_HANN_PERIODIC:
            window[i] = (float)(0.5 - 0.5 * c);
            break;
        case ES_BLACKMAN:
            window[i] = (float)(0.42 - 0.5 * c + 0.08 * cos(2.0 * turn * i));
            break;
        case ES_RECTANGULAR:
            window[i] = 1.0f;
            break;
        }
    }
}
