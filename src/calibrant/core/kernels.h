/* What the rooms' compiled kernels share: arguments that are checked before a loop sees them.

   A kernel takes the arguments of its namesake in numba_kernels.py beside it and gives the same bits. It raises
   TypeError for an array of another type or number of dimensions, ValueError for one that is not contiguous, not
   writable, or of a size that does not fit the others. The loops run without the GIL. */

#ifndef CALIBRANT_KERNELS_H
#define CALIBRANT_KERNELS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Compiled for several generations of processors, of which the loader takes the best; where it can. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) \
    && !defined(__SANITIZE_ADDRESS__)
#define VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORISED
#endif

/* To a cache line, so that no vector lies across two. */
#if defined(_MSC_VER)
#define ALIGNED __declspec(align(64))
#else
#define ALIGNED __attribute__((aligned(64)))
#endif

/* Have a cache line brought near; any address will do. */
#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

typedef enum { BOOL, INT8, UINT16, UINT32, INT32, INT64, FLOAT32, FLOAT64 } Type;

/* size: bytes of an item. codes: what the buffer protocol calls it; a C long has 32 or 64 bits. */
static const struct {
    const char *name, *codes;
    Py_ssize_t size;
} TYPES[] = {
    [BOOL] = {"bool", "?", 1},       [INT8] = {"int8", "b", 1},      [UINT16] = {"uint16", "H", 2},   [UINT32] = {"uint32", "IL", 4},
    [INT32] = {"int32", "il", 4},    [INT64] = {"int64", "lq", 8},    [FLOAT32] = {"float32", "f", 4},
    [FLOAT64] = {"float64", "d", 8},
};

typedef enum { READ, WRITTEN } Access;

typedef struct {
    const char *name;
    Type type;
    int dimensions;
    Access access;
    Py_buffer view;
} Array;

static inline Py_ssize_t size_of(const Array *array) { return array->view.len / TYPES[array->type].size; }

static inline Py_ssize_t length_of(const Array *array) { return array->view.shape[0]; }

static int has_its_type(const Array *array)
{
    const char *format = array->view.format;
    const char own_order = PY_LITTLE_ENDIAN ? '<' : '>'; /* as arrays of files name it, such as weights */
    if (format && (*format == '@' || *format == '=' || *format == own_order)) /* = is what is not aligned */
        format++;
    return format && strlen(format) == 1 && strchr(TYPES[array->type].codes, *format)
        && array->view.itemsize == TYPES[array->type].size;
}

/* A converter for PyArg_ParseTuple's O&: opens what was given as the Array describes it. */
static int take(PyObject *given, void *address)
{
    Array *array = address;
    if (given == NULL) { /* a later argument was refused */
        PyBuffer_Release(&array->view);
        return 1;
    }
    int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (array->access == WRITTEN ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(given, &array->view, flags) < 0)
        return 0;
    if (!has_its_type(array) || array->view.ndim != array->dimensions)
        PyErr_Format(PyExc_TypeError, "%s must be an array of %s, dimensions: %d", array->name,
                     TYPES[array->type].name, array->dimensions);
    else if ((uintptr_t)array->view.buf % (uintptr_t)TYPES[array->type].size)
        PyErr_Format(PyExc_ValueError, "%s is not aligned", array->name);
    else
        return Py_CLEANUP_SUPPORTED;
    PyBuffer_Release(&array->view);
    return 0;
}

/* A new array of zeros of one dimension, open for writing until it is released. */
static inline PyObject *zeros(Py_ssize_t length, Array *array)
{
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (!numpy)
        return NULL;
    PyObject *made = PyObject_CallMethod(numpy, "zeros", "ns", length, TYPES[array->type].name);
    Py_DECREF(numpy);
    if (made && !take(made, array))
        Py_CLEAR(made);
    return made;
}

static inline void release(int count, Array *arrays)
{
    for (int i = 0; i < count; i++)
        PyBuffer_Release(&arrays[i].view);
}

static inline int require(int holds, const char *what)
{
    if (!holds)
        PyErr_SetString(PyExc_ValueError, what);
    return holds;
}

/* numba's min and max, which give the first of two when either is NaN. */
#define LESSER(a, b) ((b) < (a) ? (b) : (a))
#define GREATER(a, b) ((b) > (a) ? (b) : (a))

#endif
