/* Counting of magnitudes, chunk by chunk inside the processor's cache. A vectorised pass finds extremes and cells;
   extremes on the floats' bits, because comparing integers vectorises where comparing floats (NaN) does not. A
   second pass counts, and asks for the values to come, which would arrive late: the processor's own prefetching
   does not see past the counting. Cells are asked for beforehand. The values of the fullest bin take sixteen cells
   in turn: adding to a single cell over and over waits each time for the store before it. */

#include "kernels.h"

enum { BINS = 16384, LANES = 16, CELLS = BINS + LANES, CHUNK = 1024, AHEAD = 2 * CHUNK, LINE = 16, MOST_EDGES = 14 };

/* A former limit, as bits: what a chunk holds between first and last moves from ``bin`` to the bin below. */
typedef struct {
    int bin;
    int32_t first, last;
    uint32_t before;
} Edge;

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

/* Write a chunk's cells and the largest of its bits, signed and unsigned: of the positive values the largest, of
   the negative ones the smallest. NaN, and what lies above the limit, takes the last bin here: the caller looks at
   the extremes before it counts. */
static inline void find_cells(const float *values, Py_ssize_t size, float inverse, int32_t hot, uint32_t *found,
                              int32_t *top, uint32_t *unsigned_top)
{
    const float last = BINS - 1;
    int32_t largest = INT32_MIN;
    uint32_t unsigned_largest = 0;
#pragma GCC unroll 4
    for (int32_t j = 0; j < size; j++) {
        const int32_t bits = bits_of(values[j]);
        largest = GREATER(largest, bits);
        unsigned_largest = GREATER(unsigned_largest, (uint32_t)bits);
        const float scaled = fabsf(values[j]) * inverse;
        const int32_t index = (int32_t)(scaled < last ? scaled : last);
        found[j] = (uint32_t)(index == hot ? BINS + (j & (LANES - 1)) : index);
    }
    *top = largest;
    *unsigned_top = unsigned_largest;
}

static inline uint32_t least_pattern(const float *values, Py_ssize_t size)
{
    uint32_t least = UINT32_MAX;
    for (Py_ssize_t j = 0; j < size; j++)
        least = LESSER(least, (uint32_t)bits_of(values[j]));
    return least;
}

/* Of values of one sign the one next to zero is an extreme, too; it matters until both signs, or 0, were seen. */
static inline void extend(int64_t *keys, int32_t top, uint32_t unsigned_top, const float *values, Py_ssize_t size)
{
    const int has_positive = top >= 0, has_negative = unsigned_top >= 0x80000000U;
    if (has_positive)
        keys[1] = GREATER(keys[1], (int64_t)top);
    if (has_negative)
        keys[0] = LESSER(keys[0], key_of(unsigned_top));
    if (!has_negative && keys[0] > 0)
        keys[0] = LESSER(keys[0], (int64_t)least_pattern(values, size));
    if (!has_positive && keys[1] < 0)
        keys[1] = GREATER(keys[1], key_of(least_pattern(values, size)));
}

/* The lower half, where nearly all values of an activation lie. */
static inline void bring_near(const uint32_t *cells, Py_ssize_t values)
{
    for (Py_ssize_t cell = 0; cell < LESSER(values, BINS / 2); cell += LINE)
        PREFETCH(cells + cell);
}

static inline void add(const uint32_t *found, Py_ssize_t size, const float *ahead, uint32_t *cells)
{
    Py_ssize_t j = 0;
    for (; j + LINE <= size; j += LINE) {
        PREFETCH(ahead + j);
#pragma GCC unroll 16
        for (int k = 0; k < LINE; k++)
            cells[found[j + k]]++;
    }
    for (; j < size; j++)
        cells[found[j]]++;
}

/* How many floats have magnitudes whose bits lie in [first, last]: integers, to be vectorised. */
static inline uint32_t magnitudes_between(const float *values, Py_ssize_t size, int32_t first, int32_t last)
{
    const uint32_t span = (uint32_t)last - (uint32_t)first;
    uint32_t found = 0;
    for (Py_ssize_t j = 0; j < size; j++)
        found += ((uint32_t)bits_of(values[j]) & 0x7FFFFFFFU) - (uint32_t)first <= span;
    return found;
}

/* The former limits of a histogram with values to move; how many they are. */
static int edges_of(float anchor, float limit, float inverse, const uint32_t *cells, Edge *edges)
{
    int count = 0;
    float edge = limit / 2;
    for (int bin = BINS / 2; edge >= anchor && bin > 0; edge /= 2, bin /= 2) {
        /* The edge can be rounded down into the bin below, and the number below it up into its bin. */
        const int32_t last = bits_of(edge);
        int32_t first = last + 1;
        while (first >= last && number_of(first - 1) * inverse >= (float)bin)
            first--;
        if (first <= last)
            edges[count++] = (Edge){bin, first, last, cells[bin]};
    }
    return count;
}

/* Only where a chunk has added to an edge's bin can it hold the edge; the hot bin's values lie elsewhere yet. */
static inline void lower(const float *values, Py_ssize_t size, Edge *edges, int count, int32_t hot, uint32_t *cells)
{
    for (Edge *edge = edges; edge < edges + count; edge++) {
        if (cells[edge->bin] == edge->before && edge->bin != hot)
            continue;
        const uint32_t moved = magnitudes_between(values, size, edge->first, edge->last);
        cells[edge->bin] -= moved;
        cells[edge->bin - 1] += moved;
        edge->before = cells[edge->bin];
    }
}

VECTORISED static Py_ssize_t count(const float *values, Py_ssize_t position, Py_ssize_t size, float anchor,
                                   float limit, int32_t hot, uint32_t *cells, int64_t *keys)
{
    ALIGNED uint32_t found[CHUNK];
    Edge edges[MOST_EDGES];
    const float inverse = limit > 0 ? (float)BINS / limit : 0;
    const int64_t limit_key = bits_of(limit);
    const int edge_count = edges_of(anchor, limit, inverse, cells, edges);
    bring_near(cells, size - position);
    while (position < size) {
        const float *chunk = values + position;
        const Py_ssize_t length = LESSER(CHUNK, size - position);
        int32_t top;
        uint32_t unsigned_top;
        find_cells(chunk, length, inverse, hot, found, &top, &unsigned_top);
        extend(keys, top, unsigned_top, chunk, length);
        if (GREATER(-key_of(unsigned_top), (int64_t)top) > limit_key)
            break;
        add(found, length, chunk + AHEAD, cells);
        lower(chunk, length, edges, edge_count, hot, cells);
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
    Array arrays[] = {{"values", FLOAT32, 1}, {"cells", UINT32, 1, WRITTEN}, {"keys", INT64, 1, WRITTEN}};
    Array *values = &arrays[0], *cells = &arrays[1], *keys = &arrays[2];
    Py_ssize_t position, hot;
    float anchor, limit;
    if (!PyArg_ParseTuple(args, "O&nffnO&O&", take, values, &position, &anchor, &limit, &hot, take, cells, take, keys))
        return NULL;
    PyObject *result = NULL;
    if (require(position >= 0, "start must not be negative")
        && require(hot >= 0 && hot < BINS, "hot must be the index of a bin")
        && require(size_of(cells) == CELLS, "cells must have a cell a bin and 16 more")
        && require(size_of(keys) == 2, "keys must have 2 elements")) {
        Py_BEGIN_ALLOW_THREADS
        position = count(values->view.buf, position, size_of(values), anchor, limit, (int32_t)hot, cells->view.buf,
                         keys->view.buf);
        Py_END_ALLOW_THREADS
        result = PyLong_FromSsize_t(position);
    }
    release(3, arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"count_magnitudes", count_magnitudes, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
