/* Vectors of ES_LANES floats (1, 4 or 8) as GCC and Clang offer them, and the few operations that the kernel needs.
 * With one lane a vector is a float and any C compiler will do. Included by kernel_*.c only. */
#ifndef ES_LANES
#error "a kernel_*.c file defines ES_LANES"
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if ES_LANES == 8
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if ES_LANES == 1
typedef float V;
typedef int32_t I;
#else
typedef float V __attribute__((vector_size(4 * ES_LANES)));
typedef int32_t I __attribute__((vector_size(4 * ES_LANES)));
typedef float es_aligned __attribute__((vector_size(4 * ES_LANES), may_alias));
typedef float es_unaligned __attribute__((vector_size(4 * ES_LANES), aligned(4), may_alias));
#endif

static inline V es_load(const float *p)
{
#if ES_LANES == 1
    return *p;
#else
    return *(const es_unaligned *)p;
#endif
}

static inline void es_store(float *p, V v)
{
#if ES_LANES == 1
    *p = v;
#else
    *(es_unaligned *)p = v;
#endif
}

/* From and to a multiple of the vector's size: SSE folds such loads into the arithmetic. */
static inline V es_load_aligned(const float *p)
{
#if ES_LANES == 1
    return *p;
#else
    return *(const es_aligned *)p;
#endif
}

static inline void es_store_aligned(float *p, V v)
{
#if ES_LANES == 1
    *p = v;
#else
    *(es_aligned *)p = v;
#endif
}

#if ES_LANES == 8
static inline V es_load_halves(const float *low, const float *high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps(low)), _mm_load_ps(high), 1);
}
#endif

/* Inlined even where the compiler would not: sizes that are constant at the call become constants in the code. */
#if defined(__GNUC__)
#define ES_INLINE inline __attribute__((always_inline))
#else
#define ES_INLINE inline
#endif

/* A constant for every lane. */
#if ES_LANES == 1
#define ES_C(c) (c)
#else
#define ES_C(c) ((c) - (V){0})
#endif

static inline V es_splat(float c)
{
    return ES_C(c);
}

/* Same bits, other type. */
static inline I es_bits(V v)
{
#if ES_LANES == 1
    I i;
    memcpy(&i, &v, sizeof i);
    return i;
#else
    return (I)v;
#endif
}

static inline V es_from_bits(I i)
{
#if ES_LANES == 1
    V v;
    memcpy(&v, &i, sizeof v);
    return v;
#else
    return (V)i;
#endif
}

static inline V es_to_float(I i)
{
#if ES_LANES == 1
    return (float)i;
#else
    return __builtin_convertvector(i, V);
#endif
}

/* The larger one; the second when either is NaN. */
static inline V es_max(V a, V b)
{
#if ES_LANES == 1
    return a > b ? a : b;
#else
    const I larger = a > b;
    return (V)(((I)a & larger) | ((I)b & ~larger));
#endif
}

/* Lanes picked by constant index: 0.. from a, ES_LANES.. from b. */
#if defined(__clang__)
#define ES_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define ES_PICK(a, b, ...) __builtin_shuffle(a, b, (I){__VA_ARGS__})
#endif

/* Lanes in the opposite order. */
static inline V es_reverse(V v)
{
#if ES_LANES == 1
    return v;
#elif ES_LANES == 4
    return ES_PICK(v, v, 3, 2, 1, 0);
#else
    return ES_PICK(v, v, 7, 6, 5, 4, 3, 2, 1, 0);
#endif
}

/* v moved up by a lane, its first lane twice. */
static inline V es_repeat_first(V v)
{
#if ES_LANES == 1
    return v;
#elif ES_LANES == 4
    return ES_PICK(v, v, 0, 0, 1, 2);
#else
    return ES_PICK(v, v, 0, 0, 1, 2, 3, 4, 5, 6);
#endif
}

/* a0 b0 a1 b1 …: the first and the second half. */
static inline V es_zip_low(V a, V b)
{
#if ES_LANES == 1
    (void)b;
    return a;
#elif ES_LANES == 4
    return ES_PICK(a, b, 0, 4, 1, 5);
#else
    return ES_PICK(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#endif
}

static inline V es_zip_high(V a, V b)
{
#if ES_LANES == 1
    (void)a;
    return b;
#elif ES_LANES == 4
    return ES_PICK(a, b, 2, 6, 3, 7);
#else
    return ES_PICK(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
}

/* A square of ES_LANES rows, row_length apart and aligned, to columns. */
static inline void es_transpose(const float *rows, ptrdiff_t row_length, V *columns)
{
#if ES_LANES == 1
    (void)row_length;
    columns[0] = *rows;
#elif ES_LANES == 4
    const V a = es_load_aligned(rows), b = es_load_aligned(rows + row_length),
            c = es_load_aligned(rows + 2 * row_length), d = es_load_aligned(rows + 3 * row_length);
    const V ac_low = es_zip_low(a, c), ac_high = es_zip_high(a, c);
    const V bd_low = es_zip_low(b, d), bd_high = es_zip_high(b, d);
    columns[0] = es_zip_low(ac_low, bd_low);
    columns[1] = es_zip_high(ac_low, bd_low);
    columns[2] = es_zip_low(ac_high, bd_high);
    columns[3] = es_zip_high(ac_high, bd_high);
#else
    /* Loading row i into the low and row i + 4 into the high half leaves two transpositions of 4 x 4 in each half. */
    for (int part = 0; part < 8; part += 4) {
        V row[4];
        for (int i = 0; i < 4; i++)
            row[i] = es_load_halves(rows + i * row_length + part, rows + (i + 4) * row_length + part);
        const V ab_low = ES_PICK(row[0], row[1], 0, 8, 1, 9, 4, 12, 5, 13);
        const V ab_high = ES_PICK(row[0], row[1], 2, 10, 3, 11, 6, 14, 7, 15);
        const V cd_low = ES_PICK(row[2], row[3], 0, 8, 1, 9, 4, 12, 5, 13);
        const V cd_high = ES_PICK(row[2], row[3], 2, 10, 3, 11, 6, 14, 7, 15);
        columns[part] = ES_PICK(ab_low, cd_low, 0, 1, 8, 9, 4, 5, 12, 13);
        columns[part + 1] = ES_PICK(ab_low, cd_low, 2, 3, 10, 11, 6, 7, 14, 15);
        columns[part + 2] = ES_PICK(ab_high, cd_high, 0, 1, 8, 9, 4, 5, 12, 13);
        columns[part + 3] = ES_PICK(ab_high, cd_high, 2, 3, 10, 11, 6, 7, 14, 15);
    }
#endif
}

/* Bands whose sums across lanes are taken together. */
enum { ES_GROUP = ES_LANES < 4 ? ES_LANES : 4 };

/* Lane i of the result is the sum of the lanes of rows[i], i < ES_GROUP; with 8 lanes, the sum of the low half, and lane
 * 4 + i that of the high half. Always added up in the same order. */
static inline V es_group_sums(const V *rows)
{
#if ES_LANES == 1
    return rows[0];
#elif defined(__aarch64__)
    return vpaddq_f32(vpaddq_f32(rows[0], rows[1]), vpaddq_f32(rows[2], rows[3]));
#elif ES_LANES == 4
    /* Lanes 0 + 2 and 1 + 3 of two rows side by side, then those of all four. */
    const V ab = ES_PICK(rows[0], rows[1], 0, 1, 6, 7) + ES_PICK(rows[0], rows[1], 2, 3, 4, 5);
    const V cd = ES_PICK(rows[2], rows[3], 0, 1, 6, 7) + ES_PICK(rows[2], rows[3], 2, 3, 4, 5);
    return ES_PICK(ab, cd, 0, 2, 4, 6) + ES_PICK(ab, cd, 1, 3, 5, 7);
#else
    const V ab = ES_PICK(rows[0], rows[1], 0, 1, 10, 11, 4, 5, 14, 15) +
                 ES_PICK(rows[0], rows[1], 2, 3, 8, 9, 6, 7, 12, 13);
    const V cd = ES_PICK(rows[2], rows[3], 0, 1, 10, 11, 4, 5, 14, 15) +
                 ES_PICK(rows[2], rows[3], 2, 3, 8, 9, 6, 7, 12, 13);
    return ES_PICK(ab, cd, 0, 2, 8, 10, 4, 6, 12, 14) + ES_PICK(ab, cd, 1, 3, 9, 11, 5, 7, 13, 15);
#endif
}

/* The sums of ES_LANES rows from those of their groups. */
static inline V es_join_groups(const V *groups)
{
#if ES_LANES == 8
    return ES_PICK(groups[0], groups[1], 0, 1, 2, 3, 12, 13, 14, 15) +
           ES_PICK(groups[0], groups[1], 4, 5, 6, 7, 8, 9, 10, 11);
#else
    return groups[0];
#endif
}

static inline float es_sum(V v)
{
#if ES_LANES == 1
    return v;
#elif ES_LANES == 4
    return (v[0] + v[2]) + (v[1] + v[3]);
#else
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
#endif
}

/* Natural logarithm of a positive normal float, to 1 unit in the last place or so.
 * x = 2^e m with m in sqrt(1/2) .. sqrt(2); ln m by Moshier's polynomial (Cephes logf, Netlib), ln 2 in two parts. */
static inline V es_log_of(V x)
{
    const I bits = es_bits(x);
    const I exponent = (bits - 0x3f3504f3) >> 23;
    const V m = es_from_bits(bits - (exponent << 23)) - ES_C(1.0f), e = es_to_float(exponent);
    const V square = m * m, fourth = square * square;
    const V p01 = ES_C(3.3333331174e-1f) - ES_C(2.4999993993e-1f) * m;
    const V p23 = ES_C(2.0000714765e-1f) - ES_C(1.6668057665e-1f) * m;
    const V p45 = ES_C(1.4249322787e-1f) - ES_C(1.2420140846e-1f) * m;
    const V p67 = ES_C(1.1676998740e-1f) - ES_C(1.1514610310e-1f) * m;
    const V high = p45 + square * p67 + fourth * ES_C(7.0376836292e-2f);
    V p = (p01 + square * p23 + fourth * high) * m * square;
    p = p - e * ES_C(2.12194440e-4f);
    p = p - ES_C(0.5f) * square;
    return m + p + e * ES_C(0.693359375f);
}
