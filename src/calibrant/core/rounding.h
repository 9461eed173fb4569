/* Rounding to the elements of a format, as core/elements.py does it. */

#ifndef CALIBRANT_ROUNDING_H
#define CALIBRANT_ROUNDING_H

#include <stdint.h>
#include <string.h>

enum { EXPONENT_AT = 23, BIAS = 127, INTEGERS = -1 };

/* What numbers there are: lowest to highest, mantissa: INTEGERS, or a float's bits. */
typedef struct {
    float lowest, highest;
    int mantissa, least_exponent;
} Element;

/* A float32 has no fraction from 2**23 on, so that adding this rounds, halves to even. For magnitudes to 2**22. */
static const float ROUNDING = 12582912.0f; /* 1.5 * 2**23 */

static inline float clipped(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

static inline float rounded(float x) { return (x + ROUNDING) - ROUNDING; }

static inline float power_of_two(int32_t exponent)
{
    const int32_t bits = (exponent + BIAS) << EXPONENT_AT;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

static inline int32_t exponent_of(float x, int32_t least)
{
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int32_t exponent = ((bits >> EXPONENT_AT) & 0xFF) - BIAS;
    return exponent < least ? least : exponent;
}

/* The nearest number of a float type to x, which is within its limits. */
static inline float nearest_float(float x, int mantissa, int least_exponent)
{
    const int32_t exponent = exponent_of(x, least_exponent) - mantissa;
    return rounded(x * power_of_two(-exponent)) * power_of_two(exponent);
}

/* Nearest number of an element, given in steps, less its zero point. */
static inline float nearest(float steps, float zero, const Element *element)
{
    const float inside = clipped(steps, element->lowest - zero, element->highest - zero);
    return element->mantissa == INTEGERS ? rounded(inside)
                                         : nearest_float(inside, element->mantissa, element->least_exponent);
}

#endif
