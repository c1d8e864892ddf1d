/* A block of memory handed out in aligned pieces. Run once with base NULL to learn the size, then for real. */
#ifndef ES_ARENA_H
#define ES_ARENA_H

#include <string.h>

#include "edge_ser.h"

typedef struct es_arena {
    unsigned char *base; /* NULL: only measure */
    size_t used;
} es_arena;

static inline void *es_arena_take(es_arena *arena, size_t bytes)
{
    void *piece = arena->base ? arena->base + arena->used : NULL;
    arena->used += (bytes + ES_ALIGNMENT - 1) / ES_ALIGNMENT * ES_ALIGNMENT;
    return piece;
}

static inline float *es_arena_floats(es_arena *arena, size_t n)
{
    return es_arena_take(arena, n * sizeof(float));
}

/* n zeros, and zeros up to the next multiple of ES_ALIGNMENT. */
static inline float *es_arena_zeros(es_arena *arena, size_t n)
{
    const size_t start = arena->used;
    float *piece = es_arena_floats(arena, n);
    if (piece)
        memset(piece, 0, arena->used - start);
    return piece;
}

/* A table with each of its n numbers `copies` times, for vectors that would have to be filled with it; itself when once
 * is enough. */
static inline const float *es_arena_copies(es_arena *arena, const float *table, size_t n, int32_t copies)
{
    if (copies == 1)
        return table;
    float *copied = es_arena_floats(arena, n * (size_t)copies);
    for (size_t i = 0; copied && i < n * (size_t)copies; i++)
        copied[i] = table[i / (size_t)copies];
    return copied;
}

#endif
