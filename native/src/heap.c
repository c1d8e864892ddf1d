/* The only file that uses the heap; firmware leaves it out and calls es_frontend_init. */
#include "edge_ser.h"

#include <stdlib.h>

es_frontend *es_frontend_create(const es_options *options)
{
    const size_t size = es_frontend_size(options);
    void *memory = size ? aligned_alloc(ES_ALIGNMENT, size) : NULL;
    es_frontend *frontend = memory ? es_frontend_init(memory, size, options) : NULL;
    if (!frontend)
        free(memory);
    return frontend;
}

void es_frontend_destroy(es_frontend *frontend)
{
    free(frontend);
}
