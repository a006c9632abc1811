/* The inner loops of resampling.py, to the same bytes. Python's lock is not held; a call shares nothing. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "pairs of sums are multiplied at once, which asks for little-endian numbers"
#endif

#if defined(__x86_64__) && defined(__GLIBC__)
#define ALSO_FOR_AVX2 __attribute__((target_clones("avx2", "default")))
#else
#define ALSO_FOR_AVX2
#endif

/* What resampling.py's _Compiled has: for each new pixel the first old one that counts and, for this and the
 * next ones, weights in pairs, the former in the upper half. They add up to `parts`, at most 256. */
typedef struct {
    const int32_t *first;
    const uint64_t *pairs;
    int32_t source, target, pairs_each, parts;
} Axis;

int32_t resampling_version(void) { return 2; }

/* Sums of levels, over the old rows that count for one new row: each below 2^16. */
ALSO_FOR_AVX2
static void sum_rows(const uint8_t *plane, ptrdiff_t stride, int32_t width, const Axis *rows, int32_t row,
                     uint32_t *restrict sums)
{
    const uint64_t *pairs = rows->pairs + (ptrdiff_t)row * rows->pairs_each;
    const int32_t last = rows->source - 1;
    for (int32_t pair = 0; pair < rows->pairs_each; pair++) {
        const int32_t at = rows->first[row] + 2 * pair, next = at + 1;
        const uint8_t *upper = plane + (at < last ? at : last) * stride;
        const uint8_t *lower = plane + (next < last ? next : last) * stride;
        const uint16_t above = (uint16_t)(pairs[pair] >> 32), below = (uint16_t)pairs[pair];
        if (pair == 0)
            for (int32_t x = 0; x < width; x++)
                sums[x] = (uint16_t)(above * upper[x] + below * lower[x]);
        else
            for (int32_t x = 0; x < width; x++)
                sums[x] += (uint16_t)(above * upper[x] + below * lower[x]);
    }
}

/* Sums over columns, each below 2^24. Of the product of two pairs the upper half is the sum of two products:
 * (a + b·2^32)(q + p·2^32) = aq + (ap + bq)·2^32 modulo 2^64. */
static inline void sum_columns(const uint32_t *sums, const Axis *columns, int32_t pairs_each,
                               uint32_t *restrict found)
{
    const uint64_t *pairs = columns->pairs;
    for (int32_t x = 0; x < columns->target; x++, pairs += pairs_each) {
        const uint32_t *at = sums + columns->first[x];
        uint64_t total = 0, two;
        for (int32_t pair = 0; pair < pairs_each; pair++) {
            memcpy(&two, at + 2 * pair, sizeof two);
            total += two * pairs[pair];
        }
        found[x] = (uint32_t)(total >> 32);
    }
}

/* Quotients of whole numbers below 2^24 are far enough from the next level for float32. */
ALSO_FOR_AVX2
static void round_means(const uint32_t *sums, int32_t width, int32_t whole, uint8_t *restrict levels)
{
    const float divisor = (float)whole;
    for (int32_t x = 0; x < width; x++)
        levels[x] = (uint8_t)((float)(int32_t)(sums[x] + whole / 2) / divisor);
}

/* The mean of a plane over the area of each new pixel, rounded half up, into (target rows, target columns).
 * Returns 1 where memory is short. */
int32_t resize_by_area(const uint8_t *plane, ptrdiff_t stride, const Axis *rows, const Axis *columns,
                       uint8_t *made)
{
    const int32_t width = columns->source, target = columns->target, each = columns->pairs_each;
    /* Past the last column stand zeros, as far as its weights reach, which are zero there. */
    const size_t padded = (size_t)width + 2 * (size_t)each;
    uint32_t *sums = calloc(padded + (size_t)target, sizeof *sums);
    if (!sums)
        return 1;
    uint32_t *found = sums + padded;
    for (int32_t row = 0; row < rows->target; row++) {
        sum_rows(plane, stride, width, rows, row, sums);
        switch (each) { /* A loop of known length takes half of the time. */
        case 2: sum_columns(sums, columns, 2, found); break;
        case 3: sum_columns(sums, columns, 3, found); break;
        default: sum_columns(sums, columns, each, found);
        }
        round_means(found, target, rows->parts * columns->parts, made + (ptrdiff_t)row * target);
    }
    free(sums);
    return 0;
}

/* One row of a plane doubled: between `near`, which counts threefold, and `far`. */
ALSO_FOR_AVX2
static void double_row(const uint8_t *near, const uint8_t *far, int32_t width, uint16_t *restrict sums,
                       uint8_t *restrict made)
{
    for (int32_t x = 0; x < width; x++)
        sums[x + 1] = (uint16_t)(3 * near[x] + far[x]);
    sums[0] = sums[1];
    sums[width + 1] = sums[width];
    for (int32_t x = 0; x < width; x++) {
        made[2 * x] = (uint8_t)((3 * sums[x + 1] + sums[x] + 8) >> 4);
        made[2 * x + 1] = (uint8_t)((3 * sums[x + 1] + sums[x + 2] + 8) >> 4);
    }
}

/* Of `height` old rows the one that is farther from a new one, and counts once. */
static inline int32_t row_beside(int32_t row, int32_t height)
{
    const int32_t beside = row % 2 ? row / 2 + 1 : row / 2 - 1;
    return beside < 0 ? 0 : beside < height ? beside : height - 1;
}

/* A plane at twice its width and height, bilinearly, rounded half up. Returns 1 where memory is short. */
int32_t double_plane(const uint8_t *plane, ptrdiff_t stride, int32_t width, int32_t height, uint8_t *made)
{
    uint16_t *sums = malloc(((size_t)width + 2) * sizeof *sums);
    if (!sums)
        return 1;
    for (int32_t row = 0; row < 2 * height; row++) {
        double_row(plane + row / 2 * stride, plane + row_beside(row, height) * stride, width, sums,
                   made + (ptrdiff_t)row * 2 * width);
    }
    free(sums);
    return 0;
}

ALSO_FOR_AVX2
static void interleave(const uint8_t *y, const uint8_t *u, const uint8_t *v, int32_t width,
                       uint8_t *restrict made)
{
    for (int32_t x = 0; x < width; x++) {
        made[3 * x] = y[x];
        made[3 * x + 1] = u[x];
        made[3 * x + 2] = v[x];
    }
}

typedef struct {
    const uint8_t *pixels;
    ptrdiff_t stride;
} Plane;

/* A 4:2:0 frame resized by area, with its chroma doubled, into (height, width, 3) of which the rows begin `stride`
 * apart: Y, Cb, Cr. Height and width are even. Returns 1 where memory is short. */
int32_t resize_frame(const Plane *planes, const Axis *luma, const Axis *chroma, uint8_t *made, ptrdiff_t stride)
{
    const int32_t height = luma[0].target, width = luma[1].target, half = width / 2, rows = height / 2;
    uint8_t *levels = malloc((size_t)height * (size_t)width * 3 / 2 + 2 * (size_t)width);
    uint16_t *sums = malloc(((size_t)half + 2) * sizeof *sums);
    int32_t is_short = !levels || !sums;
    if (!is_short) {
        uint8_t *y = levels, *u = y + (ptrdiff_t)height * width, *v = u + (ptrdiff_t)rows * half;
        uint8_t *wide_u = v + (ptrdiff_t)rows * half, *wide_v = wide_u + width;
        is_short = resize_by_area(planes[0].pixels, planes[0].stride, &luma[0], &luma[1], y) ||
                   resize_by_area(planes[1].pixels, planes[1].stride, &chroma[0], &chroma[1], u) ||
                   resize_by_area(planes[2].pixels, planes[2].stride, &chroma[0], &chroma[1], v);
        for (int32_t row = 0; row < height && !is_short; row++) {
            const ptrdiff_t near = (ptrdiff_t)(row / 2) * half, far = (ptrdiff_t)row_beside(row, rows) * half;
            double_row(u + near, u + far, half, sums, wide_u);
            double_row(v + near, v + far, half, sums, wide_v);
            interleave(y + (ptrdiff_t)row * width, wide_u, wide_v, width, made + row * stride);
        }
    }
    free(levels);
    free(sums);
    return is_short;
}
