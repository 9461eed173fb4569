/* Counting of magnitudes, chunk by chunk inside the processor's cache. A vectorised pass finds extremes and bin
   indices; extremes on the floats' bits, because comparing integers vectorises where comparing floats (NaN) does
   not. A second pass counts. The values of the fullest bin take sixteen cells in turn: adding to a single cell
   over and over waits each time for the store before it. */

#include "kernels.h"

enum { BINS = 16384, LANES = 16, CELLS = BINS + LANES, CHUNK = 2048 };

static inline int32_t bits_of(float number)
{
    int32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static inline float number_of(int32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* A float's bits (below 2**32), ordered like the numbers. */
static inline int64_t key_of(int64_t pattern) { return pattern < 0x80000000LL ? pattern : 0x80000000LL - pattern; }

/* Write a chunk's cell indices and the keys of its smallest and largest value. NaN, and what lies above the
   limit, takes the last bin here: the caller looks at the keys before it counts. */
static inline void index_chunk(const float *values, Py_ssize_t size, float inverse, int32_t hot,
                               uint32_t *indices, int64_t *low, int64_t *high)
{
    const float last = BINS - 1;
    int32_t top = INT32_MIN;
    uint32_t unsigned_top = 0, unsigned_low = UINT32_MAX;
#pragma GCC unroll 4
    for (int32_t j = 0; j < size; j++) {
        int32_t bits = bits_of(values[j]);
        uint32_t pattern = (uint32_t)bits;
        top = GREATER(top, bits);
        unsigned_top = GREATER(unsigned_top, pattern);
        unsigned_low = LESSER(unsigned_low, pattern);
        float scaled = fabsf(values[j]) * inverse;
        int32_t index = (int32_t)(scaled < last ? scaled : last);
        indices[j] = (uint32_t)(index == hot ? BINS + (j & (LANES - 1)) : index);
    }
    /* As unsigned integers the bits of negative floats are largest and ordered the other way round. */
    *low = key_of(unsigned_top >= 0x80000000U ? unsigned_top : unsigned_low);
    *high = key_of(top >= 0 ? (int64_t)top : (int64_t)unsigned_low);
}

VECTORISED static Py_ssize_t count(const float *values, Py_ssize_t position, Py_ssize_t size, float limit,
                                   int32_t hot, int64_t *cells, int64_t *keys)
{
    ALIGNED uint32_t indices[CHUNK];
    const float inverse = limit > 0 ? (float)BINS / limit : 0;
    const int64_t limit_key = bits_of(limit);
    while (position < size) {
        const Py_ssize_t length = LESSER(CHUNK, size - position);
        int64_t low, high;
        index_chunk(values + position, length, inverse, hot, indices, &low, &high);
        keys[0] = LESSER(keys[0], low);
        keys[1] = GREATER(keys[1], high);
        if (GREATER(-low, high) > limit_key)
            break;
#pragma GCC unroll 8
        for (Py_ssize_t j = 0; j < length; j++)
            cells[indices[j]]++;
        position += length;
    }
    for (int lane = BINS; lane < CELLS; lane++) {
        cells[hot] += cells[lane];
        cells[lane] = 0;
    }
    return position;
}

static PyObject *count_magnitudes(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"values", FLOAT32, 1}, {"cells", INT64, 1, WRITTEN}, {"keys", INT64, 1, WRITTEN}};
    Array *values = &arrays[0], *cells = &arrays[1], *keys = &arrays[2];
    Py_ssize_t position, hot;
    float limit;
    if (!PyArg_ParseTuple(args, "O&nfnO&O&", take, values, &position, &limit, &hot, take, cells, take, keys))
        return NULL;
    PyObject *result = NULL;
    if (require(position >= 0, "start must not be negative")
        && require(hot >= 0 && hot < BINS, "hot must be the index of a bin")
        && require(size_of(cells) == CELLS, "cells must have a cell a bin and 16 more")
        && require(size_of(keys) == 2, "keys must have 2 elements")) {
        Py_BEGIN_ALLOW_THREADS
        position = count(values->view.buf, position, size_of(values), limit, (int32_t)hot, cells->view.buf,
                         keys->view.buf);
        Py_END_ALLOW_THREADS
        result = PyLong_FromSsize_t(position);
    }
    release(3, arrays);
    return result;
}

/* How many floats have magnitudes whose bits lie in [first, last]: integers, to be vectorised. */
VECTORISED static int64_t magnitudes_between(const float *values, Py_ssize_t size, int32_t first, int32_t last)
{
    const uint32_t span = (uint32_t)last - (uint32_t)first;
    int64_t found = 0;
    for (Py_ssize_t begun = 0; begun < size; begun += CHUNK) {
        const Py_ssize_t end = LESSER(begun + CHUNK, size);
        uint32_t inside = 0;
        for (Py_ssize_t j = begun; j < end; j++)
            inside += ((uint32_t)bits_of(values[j]) & 0x7FFFFFFFU) - (uint32_t)first <= span;
        found += inside;
    }
    return found;
}

static void lower_edges(const float *values, Py_ssize_t size, float anchor, float limit, int64_t *cells)
{
    const float inverse = (float)BINS / limit;
    float edge = limit / 2;
    for (int edge_bin = BINS / 2; edge >= anchor && edge_bin > 0; edge /= 2, edge_bin /= 2) {
        const int32_t last = bits_of(edge);
        /* The edge can be rounded down into the bin below, and magnitudes next to it up into its bin. */
        int32_t first = last + 1;
        while (number_of(first - 1) * inverse >= (float)edge_bin)
            first--;
        const int64_t moved = first <= last ? magnitudes_between(values, size, first, last) : 0;
        cells[edge_bin] -= moved;
        cells[edge_bin - 1] += moved;
    }
}

static PyObject *lower_edge_values(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"values", FLOAT32, 1}, {"cells", INT64, 1, WRITTEN}};
    Array *values = &arrays[0], *cells = &arrays[1];
    float anchor, limit;
    if (!PyArg_ParseTuple(args, "O&ffO&", take, values, &anchor, &limit, take, cells))
        return NULL;
    const int fits = require(anchor >= 0 && limit >= 0, "anchor and limit must not be negative")
        && require(size_of(cells) == CELLS, "cells must have a cell a bin and 16 more");
    if (fits) {
        Py_BEGIN_ALLOW_THREADS
        lower_edges(values->view.buf, size_of(values), anchor, limit, cells->view.buf);
        Py_END_ALLOW_THREADS
    }
    release(2, arrays);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"count_magnitudes", count_magnitudes, METH_VARARGS, NULL},
    {"lower_edge_values", lower_edge_values, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
