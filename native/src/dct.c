/* The cosine transform from log bands to cepstra, with everything linear that follows folded in. */
#include "tables.h"

#include <math.h>

#define PI 3.14159265358979323846

double es_log_unit(const es_options *o)
{
    return o->log == ES_DB ? 10.0 / log(10.0) : 1.0;
}

double es_dct_weight(const es_options *o, int32_t cepstrum, int32_t band)
{
    const double norm = sqrt((cepstrum == 0 ? 1.0 : 2.0) / o->n_mels);
    const double lift = o->lifter > 0.0f ? 1.0 + 0.5 * o->lifter * sin(PI * cepstrum / o->lifter) : 1.0;
    return es_log_unit(o) * lift * norm * cos(PI * cepstrum * (band + 0.5) / o->n_mels);
}
