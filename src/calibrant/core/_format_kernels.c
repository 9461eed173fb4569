/* Encoding: extremes of what shares a scale, and codes; the numpy in formats.py is the reference. */

#include "kernels.h"
#include "rounding.h"

enum { LANES = 16 };
static const uint32_t MAGNITUDE = 0x7FFFFFFF, INFINITE = 0x7F800000;

/* Minimum and maximum of a row; both NaN where it holds NaN or an infinite value. */
VECTORISED static void find_extremes(const float *values, Py_ssize_t rows, Py_ssize_t width, float *lows, float *highs)
{
    for (Py_ssize_t row = 0; row < rows; row++, values += width) {
        float low[LANES], high[LANES];
        for (int t = 0; t < LANES; t++)
            low[t] = high[t] = values[0];
        uint32_t largest = 0;
        Py_ssize_t at = 0;
        for (; at + LANES <= width; at += LANES)
            for (int t = 0; t < LANES; t++) {
                const float value = values[at + t];
                low[t] = value < low[t] ? value : low[t];
                high[t] = value > high[t] ? value : high[t];
            }
        for (; at < width; at++) {
            low[0] = LESSER(low[0], values[at]);
            high[0] = GREATER(high[0], values[at]);
        }
        for (Py_ssize_t i = 0; i < width; i++) {
            uint32_t bits;
            memcpy(&bits, values + i, sizeof bits);
            bits &= MAGNITUDE;
            largest = bits > largest ? bits : largest;
        }
        for (int t = 1; t < LANES; t++) {
            low[0] = LESSER(low[0], low[t]);
            high[0] = GREATER(high[0], high[t]);
        }
        lows[row] = largest < INFINITE ? low[0] : NAN;
        highs[row] = largest < INFINITE ? high[0] : NAN;
    }
}

static PyObject *extremes(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"values", FLOAT32, 2}, {"lows", FLOAT32, 1, WRITTEN}, {"highs", FLOAT32, 1, WRITTEN}};
    if (!PyArg_ParseTuple(args, "O&O&O&", take, &arrays[0], take, &arrays[1], take, &arrays[2]))
        return NULL;
    const Py_ssize_t rows = arrays[0].view.shape[0], width = arrays[0].view.shape[1];
    PyObject *result = NULL;
    if (require(width > 0 && size_of(&arrays[1]) == rows && size_of(&arrays[2]) == rows,
                "lows and highs must have a place for each row, and rows a value")) {
        Py_BEGIN_ALLOW_THREADS
        find_extremes(arrays[0].view.buf, rows, width, arrays[1].view.buf, arrays[2].view.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    release(3, arrays);
    return result;
}

VECTORISED static void encode_integers(const float *values, Py_ssize_t rows, Py_ssize_t width, const float *steps,
                                       const float *zeros, const float *bases, const Element *element, int8_t *codes)
{
    const float lowest = element->lowest, highest = element->highest;
    for (Py_ssize_t row = 0; row < rows; row++, values += width, codes += width) {
        const float step = steps[row], zero = zeros[row], base = bases[row];
        for (Py_ssize_t i = 0; i < width; i++) {
            const float inside = clipped((values[i] - base) / step, lowest - zero, highest - zero);
            codes[i] = (int8_t)(int32_t)(rounded(inside) + zero);
        }
    }
}

VECTORISED static void encode_floats(const float *values, Py_ssize_t rows, Py_ssize_t width, const float *steps,
                                     const Element *element, int sign_at, int8_t *codes)
{
    const int mantissa = element->mantissa, least = element->least_exponent;
    const float lowest = element->lowest, highest = element->highest;
    for (Py_ssize_t row = 0; row < rows; row++, values += width, codes += width) {
        const float step = steps[row];
        for (Py_ssize_t i = 0; i < width; i++) {
            const float inside = clipped(values[i] / step, lowest, highest);
            const int32_t exponent = exponent_of(inside, least);
            const float in_steps = rounded(fabsf(inside) * power_of_two(mantissa - exponent));
            int32_t sign;
            memcpy(&sign, &inside, sizeof sign);
            const int32_t magnitude = ((exponent - least) << mantissa) + (int32_t)in_steps;
            codes[i] = (int8_t)(magnitude | (sign < 0) << sign_at);
        }
    }
}

static PyObject *encode(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"values", FLOAT32, 2}, {"steps", FLOAT32, 1}, {"zeros", FLOAT32, 1}, {"bases", FLOAT32, 1},
                      {"codes", INT8, 2, WRITTEN}};
    Element element;
    int bits;
    if (!PyArg_ParseTuple(args, "O&O&O&O&ffiiiO&", take, &arrays[0], take, &arrays[1], take, &arrays[2], take,
                          &arrays[3], &element.lowest, &element.highest, &element.mantissa, &element.least_exponent,
                          &bits, take, &arrays[4]))
        return NULL;
    const Py_ssize_t rows = arrays[0].view.shape[0], width = arrays[0].view.shape[1];
    PyObject *result = NULL;
    if (require(size_of(&arrays[1]) == rows && size_of(&arrays[2]) == rows && size_of(&arrays[3]) == rows
                    && size_of(&arrays[4]) == rows * width,
                "steps, zeros and bases must have one for each row, codes a place for each value")) {
        Py_BEGIN_ALLOW_THREADS
        if (element.mantissa == INTEGERS)
            encode_integers(arrays[0].view.buf, rows, width, arrays[1].view.buf, arrays[2].view.buf,
                            arrays[3].view.buf, &element, arrays[4].view.buf);
        else
            encode_floats(arrays[0].view.buf, rows, width, arrays[1].view.buf, &element, bits - 1,
                          arrays[4].view.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    release(5, arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, NULL},
    {"extremes", extremes, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_format_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__format_kernels(void) { return PyModuleDef_Init(&module); }
