/* Vectors of ES_LANES floats (1, 4, 8 or 16) as GCC and Clang offer them, and the few operations that the kernel needs.
 * With one lane a vector is a float and any C compiler will do. Included by kernel_*.c only. */
#ifndef ES_LANES
#error "a kernel_*.c file defines ES_LANES"
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if ES_LANES >= 8
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
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

/* A quad is 4 floats at every level: sums over bands are taken in the same order in all. 1 where there are no vectors. */
enum { ES_QUAD = ES_LANES < 4 ? ES_LANES : 4 };
#if ES_LANES == 1
typedef float Q;
#else
typedef float Q __attribute__((vector_size(16)));
typedef int32_t QI __attribute__((vector_size(16)));
typedef float es_aligned_quad __attribute__((vector_size(16), may_alias));
typedef float es_unaligned_quad __attribute__((vector_size(16), aligned(4), may_alias));
#endif

/* Inlined even where the compiler would not: sizes that are constant at the call become constants in the code. */
#if defined(__GNUC__)
#define ES_INLINE inline __attribute__((always_inline))
#else
#define ES_INLINE inline
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

static inline Q es_load_quad(const float *p)
{
#if ES_LANES == 1
    return *p;
#else
    return *(const es_unaligned_quad *)p;
#endif
}

static inline Q es_load_aligned_quad(const float *p)
{
#if ES_LANES == 1
    return *p;
#else
    return *(const es_aligned_quad *)p;
#endif
}

static inline void es_store_quad(float *p, Q q)
{
#if ES_LANES == 1
    *p = q;
#else
    *(es_unaligned_quad *)p = q;
#endif
}

static inline void es_store_aligned_quad(float *p, Q q)
{
#if ES_LANES == 1
    *p = q;
#else
    *(es_aligned_quad *)p = q;
#endif
}

/* A vector of quads, distance floats apart. */
#if ES_LANES == 4
static inline V es_load_quads(const float *p, ptrdiff_t distance)
{
    (void)distance;
    return es_load_aligned(p);
}
#elif ES_LANES == 8
static inline V es_load_quads(const float *p, ptrdiff_t distance)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps(p)), _mm_load_ps(p + distance), 1);
}
#elif ES_LANES == 16
static inline V es_load_quads(const float *p, ptrdiff_t distance)
{
    __m512 v = _mm512_castps128_ps512(_mm_load_ps(p));
    v = _mm512_insertf32x4(v, _mm_load_ps(p + distance), 1);
    v = _mm512_insertf32x4(v, _mm_load_ps(p + 2 * distance), 2);
    return _mm512_insertf32x4(v, _mm_load_ps(p + 3 * distance), 3);
}
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

/* Fetches the line of 64 bytes into the second cache; the first has no room left. */
static inline void es_prefetch(const float *p)
{
#if defined(__GNUC__)
    __builtin_prefetch(p, 0, 2);
#else
    (void)p;
#endif
}

/* Number i of a table, in all lanes. SSE2 takes two instructions to fill a vector, so its tables come filled. */
#if ES_LANES == 4 && defined(__SSE2__)
enum { ES_COPIES = 4 };
#else
enum { ES_COPIES = 1 };
#endif
static inline V es_same(const float *table, ptrdiff_t i)
{
    return ES_COPIES == 1 ? es_splat(table[i]) : es_load_aligned(table + i * ES_COPIES);
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

/* v where the bits of `mask` are set, 0 where none is, whatever v is. */
static inline V es_and(V v, V mask)
{
    return es_from_bits(es_bits(v) & es_bits(mask));
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
#elif ES_LANES == 16
    return _mm512_max_ps(a, b);
#elif ES_LANES == 8
    return _mm256_max_ps(a, b);
#elif defined(__SSE2__)
    return _mm_max_ps(a, b);
#else
    const I larger = a > b;
    return (V)(((I)a & larger) | ((I)b & ~larger));
#endif
}

/* Lanes picked by constant index: 0.. from a, ES_LANES.. from b. */
#if defined(__clang__)
#define ES_PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define ES_PICK_QUAD ES_PICK
#else
#define ES_PICK(a, b, ...) __builtin_shuffle(a, b, (I){__VA_ARGS__})
#define ES_PICK_QUAD(a, b, ...) __builtin_shuffle(a, b, (QI){__VA_ARGS__})
#endif

/* Lanes in the opposite order. */
static inline Q es_reverse_quad(Q q)
{
#if ES_LANES == 1
    return q;
#else
    return ES_PICK_QUAD(q, q, 3, 2, 1, 0);
#endif
}

static inline V es_reverse(V v)
{
#if ES_LANES == 1
    return v;
#elif ES_LANES == 4
    return ES_PICK(v, v, 3, 2, 1, 0);
#elif ES_LANES == 8
    return ES_PICK(v, v, 7, 6, 5, 4, 3, 2, 1, 0);
#else
    return ES_PICK(v, v, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#endif
}

/* v moved up by a lane, its first lane twice. */
static inline V es_repeat_first(V v)
{
#if ES_LANES == 1
    return v;
#elif ES_LANES == 4
    return ES_PICK(v, v, 0, 0, 1, 2);
#elif ES_LANES == 8
    return ES_PICK(v, v, 0, 0, 1, 2, 3, 4, 5, 6);
#else
    return ES_PICK(v, v, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
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
#elif ES_LANES == 8
    return ES_PICK(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return ES_PICK(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#endif
}

static inline V es_zip_high(V a, V b)
{
#if ES_LANES == 1
    (void)a;
    return b;
#elif ES_LANES == 4
    return ES_PICK(a, b, 2, 6, 3, 7);
#elif ES_LANES == 8
    return ES_PICK(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return ES_PICK(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#endif
}

/* The same within each quad. */
#if ES_LANES == 8
#define ES_QUADS_ZIP_LOW(a, b) ES_PICK(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define ES_QUADS_ZIP_HIGH(a, b) ES_PICK(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define ES_QUADS_LOW(a, b) ES_PICK(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define ES_QUADS_HIGH(a, b) ES_PICK(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#elif ES_LANES == 16
#define ES_QUADS_ZIP_LOW(a, b) _mm512_unpacklo_ps(a, b)
#define ES_QUADS_ZIP_HIGH(a, b) _mm512_unpackhi_ps(a, b)
#define ES_QUADS_LOW(a, b) _mm512_shuffle_ps(a, b, 0x44)
#define ES_QUADS_HIGH(a, b) _mm512_shuffle_ps(a, b, 0xee)
#endif

#if ES_LANES > 1
/* Each quad of four vectors, a square of 4 x 4, to columns. */
static ES_INLINE void es_transpose_quads(const V *rows, V *columns)
{
#if ES_LANES == 4
    const V ac_low = es_zip_low(rows[0], rows[2]), ac_high = es_zip_high(rows[0], rows[2]);
    const V bd_low = es_zip_low(rows[1], rows[3]), bd_high = es_zip_high(rows[1], rows[3]);
    columns[0] = es_zip_low(ac_low, bd_low);
    columns[1] = es_zip_high(ac_low, bd_low);
    columns[2] = es_zip_low(ac_high, bd_high);
    columns[3] = es_zip_high(ac_high, bd_high);
#else
    const V ab_low = ES_QUADS_ZIP_LOW(rows[0], rows[1]), ab_high = ES_QUADS_ZIP_HIGH(rows[0], rows[1]);
    const V cd_low = ES_QUADS_ZIP_LOW(rows[2], rows[3]), cd_high = ES_QUADS_ZIP_HIGH(rows[2], rows[3]);
    columns[0] = ES_QUADS_LOW(ab_low, cd_low);
    columns[1] = ES_QUADS_HIGH(ab_low, cd_low);
    columns[2] = ES_QUADS_LOW(ab_high, cd_high);
    columns[3] = ES_QUADS_HIGH(ab_high, cd_high);
#endif
}

/* The quads of a vector to places `distance` floats apart, multiples of 16 bytes. */
static ES_INLINE void es_store_quads(float *p, ptrdiff_t distance, V v)
{
#if ES_LANES == 4
    (void)distance;
    es_store_aligned(p, v);
#elif ES_LANES == 8
    _mm_store_ps(p, _mm256_castps256_ps128(v));
    _mm_store_ps(p + distance, _mm256_extractf128_ps(v, 1));
#else
    _mm_store_ps(p, _mm512_castps512_ps128(v));
    _mm_store_ps(p + distance, _mm512_extractf32x4_ps(v, 1));
    _mm_store_ps(p + 2 * distance, _mm512_extractf32x4_ps(v, 2));
    _mm_store_ps(p + 3 * distance, _mm512_extractf32x4_ps(v, 3));
#endif
}
#endif

/* A square of ES_LANES rows, row_length apart and aligned, to columns. */
static ES_INLINE void es_transpose(const float *rows, ptrdiff_t row_length, V *columns)
{
#if ES_LANES == 1
    (void)row_length;
    columns[0] = *rows;
#else
    /* Loading rows i, i + 4, … into the quads of a vector leaves a transposition of 4 x 4 in each quad. */
    for (int part = 0; part < ES_LANES; part += 4) {
        V row[4];
        for (int i = 0; i < 4; i++)
            row[i] = es_load_quads(rows + i * row_length + part, 4 * row_length);
        es_transpose_quads(row, columns + part);
    }
#endif
}

/* Lane i of the result is the sum of the lanes of quads[i], as es_quad_sum adds them. */
static inline Q es_quad_sums(const Q *quads)
{
#if ES_LANES == 1
    return quads[0];
#elif defined(__aarch64__)
    return vpaddq_f32(vpaddq_f32(quads[0], quads[1]), vpaddq_f32(quads[2], quads[3]));
#else
    const Q ab = ES_PICK_QUAD(quads[0], quads[1], 0, 2, 4, 6) + ES_PICK_QUAD(quads[0], quads[1], 1, 3, 5, 7);
    const Q cd = ES_PICK_QUAD(quads[2], quads[3], 0, 2, 4, 6) + ES_PICK_QUAD(quads[2], quads[3], 1, 3, 5, 7);
    return ES_PICK_QUAD(ab, cd, 0, 2, 4, 6) + ES_PICK_QUAD(ab, cd, 1, 3, 5, 7);
#endif
}

/* The sum of the lanes, by halves: lane 0 + lane n/2, … */
static inline float es_sum(V v)
{
#if ES_LANES == 1
    return v;
#else
#if ES_LANES == 16
    const __m256 eight = _mm512_castps512_ps256(v) + _mm512_extractf32x8_ps(v, 1);
    const Q four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
#elif ES_LANES == 8
    const Q four = _mm256_castps256_ps128(v) + _mm256_extractf128_ps(v, 1);
#else
    const Q four = v;
#endif
    return (four[0] + four[2]) + (four[1] + four[3]);
#endif
}

#if ES_LANES > 1
/* The sum of ES_LANES vectors, lane by lane as es_sum adds the lanes of one. */
static inline V es_sum_of(V *v)
{
    for (int n = ES_LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            v[i] += v[i + n];
    return v[0];
}
#endif

/* a b + c. For sums of two products: which of them the compiler fuses with the sum would differ from place to place. */
static inline V es_multiply_add(V a, V b, V c)
{
#if ES_LANES == 16
    return _mm512_fmadd_ps(a, b, c);
#elif ES_LANES == 8
    return _mm256_fmadd_ps(a, b, c);
#elif ES_LANES == 4 && defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}

/* c - a b. */
static inline V es_subtract_product(V c, V a, V b)
{
#if ES_LANES == 16
    return _mm512_fnmadd_ps(a, b, c);
#elif ES_LANES == 8
    return _mm256_fnmadd_ps(a, b, c);
#elif ES_LANES == 4 && defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
    return vfmsq_f32(c, a, b);
#else
    return c - a * b;
#endif
}

/* a b - c d. */
static inline V es_difference_of_products(V a, V b, V c, V d)
{
#if ES_LANES == 16
    return _mm512_fmsub_ps(a, b, c * d);
#elif ES_LANES == 8
    return _mm256_fmsub_ps(a, b, c * d);
#else
    return es_subtract_product(a * b, c, d);
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
    V p = es_multiply_add((p01 + square * p23 + fourth * high) * m, square, e * ES_C(-2.12194440e-4f));
    p = p - ES_C(0.5f) * square;
    return m + p + e * ES_C(0.693359375f);
}
