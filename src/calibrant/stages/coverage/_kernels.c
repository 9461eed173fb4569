/* The summary of one tensor of one image. */

#include "kernels.h"

enum {
    SHIFT = 20, /* of a float32's 23 mantissa bits three are left: eight bins an octave */
    BINS_PER_OCTAVE = 8,
    HALF = 64 * BINS_PER_OCTAVE,
    LOWEST_EXPONENT = -31,
    FIRST = (127 + LOWEST_EXPONENT) * BINS_PER_OCTAVE,
};

typedef struct {
    const float *lows, *highs;
    Py_ssize_t count;
    float tightest_low, tightest_high;
} Ranges;

static Ranges ranges_of(const float *lows, const float *highs, Py_ssize_t count)
{
    Ranges ranges = {lows, highs, count, -INFINITY, INFINITY};
    for (Py_ssize_t r = 0; r < count; r++) {
        ranges.tightest_low = GREATER(ranges.tightest_low, lows[r]);
        ranges.tightest_high = LESSER(ranges.tightest_high, highs[r]);
    }
    return ranges;
}

static int add_values(const float *values, Py_ssize_t size, Ranges ranges, int64_t *counts, int64_t *outside,
                      float *extremes)
{
    float low = extremes[0], high = extremes[1];
    for (Py_ssize_t j = 0; j < size; j++) {
        const float value = values[j];
        uint32_t pattern;
        memcpy(&pattern, &value, sizeof pattern);
        const int32_t magnitude = (int32_t)(pattern & 0x7FFFFFFFU);
        if (magnitude >= 0x7F800000)
            return 0;
        const int32_t bin = (magnitude >> SHIFT) - FIRST;
        counts[(bin < 0 ? 0 : bin < HALF ? bin : HALF - 1) + HALF * (int32_t)(pattern >> 31)]++;
        low = LESSER(low, value);
        high = GREATER(high, value);
        if (value < ranges.tightest_low || value > ranges.tightest_high)
            for (Py_ssize_t r = 0; r < ranges.count; r++)
                outside[r] += value < ranges.lows[r] || value > ranges.highs[r];
    }
    extremes[0] = low;
    extremes[1] = high;
    return 1;
}

static PyObject *summarise(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {
        {"values", FLOAT32, 1},        {"lows", FLOAT32, 1},           {"highs", FLOAT32, 1},
        {"counts", INT64, 1, WRITTEN}, {"outside", INT64, 1, WRITTEN}, {"extremes", FLOAT32, 1, WRITTEN},
    };
    Array *values = &arrays[0], *lows = &arrays[1], *highs = &arrays[2];
    Array *counts = &arrays[3], *outside = &arrays[4], *extremes = &arrays[5];
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&", take, values, take, lows, take, highs, take, counts, take,
                          outside, take, extremes))
        return NULL;
    PyObject *result = NULL;
    if (require(size_of(highs) == size_of(lows) && size_of(outside) == size_of(lows),
                "lows, highs and outside must be of one size")
        && require(size_of(counts) == 2 * HALF, "counts must have a cell a bin")
        && require(size_of(extremes) == 2, "extremes must have 2 elements")) {
        int is_finite;
        Py_BEGIN_ALLOW_THREADS
        is_finite = add_values(values->view.buf, size_of(values),
                               ranges_of(lows->view.buf, highs->view.buf, size_of(lows)), counts->view.buf,
                               outside->view.buf, extremes->view.buf);
        Py_END_ALLOW_THREADS
        result = PyBool_FromLong(is_finite);
    }
    release(6, arrays);
    return result;
}

static PyMethodDef methods[] = {{"summarise", summarise, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
