/* Loops over columns that depend on each other; numpy_kernels.py tells what they do, and is the reference. */

#include "kernels.h"
#include "rounding.h"

enum { LANES = 16 };

/* What a grid's values are worth: squared errors, times importance, of each row of values. */
VECTORISED static void add_errors(const float *values, Py_ssize_t rows, Py_ssize_t width, const float *importance,
                                  Py_ssize_t period, const float *steps, const float *zeros, const float *bases,
                                  const Element *given, float *errors)
{
    const Element element = *given;
    for (Py_ssize_t row = 0; row < rows; row++, values += width) {
        const float step = steps[row], zero = zeros[row], base = bases[row];
        const float *worth = importance + row % period * width;
        float sums[LANES] = {0};
        Py_ssize_t at = 0;
        for (; at + LANES <= width; at += LANES)
            for (int t = 0; t < LANES; t++) {
                const float value = values[at + t] - base;
                const float lost = value - nearest(value / step, zero, &element) * step;
                sums[t] += worth[at + t] * (lost * lost);
            }
        for (; at < width; at++) {
            const float value = values[at] - base;
            const float lost = value - nearest(value / step, zero, &element) * step;
            sums[0] += worth[at] * (lost * lost);
        }
        for (int half = LANES / 2; half; half /= 2)
            for (int t = 0; t < half; t++)
                sums[t] += sums[t + half];
        errors[row] = sums[0];
    }
}

static PyObject *squared_errors(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"values", FLOAT32, 2}, {"importance", FLOAT32, 1}, {"steps", FLOAT32, 1},
                      {"zeros", FLOAT32, 1},  {"bases", FLOAT32, 1},      {"errors", FLOAT32, 1, WRITTEN}};
    Element element;
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&ffiiO&", take, &arrays[0], take, &arrays[1], take, &arrays[2], take,
                          &arrays[3], take, &arrays[4], &element.lowest, &element.highest, &element.mantissa,
                          &element.least_exponent, take, &arrays[5]))
        return NULL;
    const Py_ssize_t rows = arrays[0].view.shape[0], width = arrays[0].view.shape[1];
    PyObject *result = NULL;
    int fits = width > 0 && size_of(&arrays[1]) >= width && size_of(&arrays[1]) % width == 0;
    for (int i = 2; i < 6; i++)
        fits = fits && size_of(&arrays[i]) == rows;
    if (require(fits, "steps, zeros, bases and errors must have one for each row, importance whole rows")) {
        Py_BEGIN_ALLOW_THREADS
        add_errors(arrays[0].view.buf, rows, width, arrays[1].view.buf, size_of(&arrays[1]) / width,
                   arrays[2].view.buf, arrays[3].view.buf, arrays[4].view.buf, &element, arrays[5].view.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    release(6, arrays);
    return result;
}

/* A block of columns, (rows, width) each, but for what goes from column to column: (width, width). */
typedef struct {
    Py_ssize_t rows, width;
    const float *steps, *zeros, *bases, *between;
    Element element;
} Columns;

/* moved: the given weights with what earlier columns hand on. Leaves there the weights as they are stored, in lost
   what is lost of those given. */
VECTORISED static void round_columns(const Columns *columns, const float *given, float *moved, float *lost)
{
    const Py_ssize_t width = columns->width;
    const Element element = columns->element;
    for (Py_ssize_t row = 0; row < columns->rows; row++) {
        const Py_ssize_t first = row * width;
        const float *steps = columns->steps + first, *zeros = columns->zeros + first, *bases = columns->bases + first;
        float *left = moved + first;
        for (Py_ssize_t j = 0; j < width; j++) {
            const float stored = nearest((left[j] - bases[j]) / steps[j], zeros[j], &element) * steps[j] + bases[j];
            const float error = given[first + j] - stored;
            const float *onwards = columns->between + j * width;
            left[j] = stored;
            lost[first + j] = error;
            for (Py_ssize_t k = j + 1; k < width; k++)
                left[k] += error * onwards[k];
        }
    }
}

/* stored: weights on their grid; gradient: what is lost of a row, times the second moments. Each weight in turn
   goes where the row loses least, the others as they are; lost: what that takes from the loss of each. */
VECTORISED static void descend_columns(const Columns *columns, float *stored, float *gradient, float *lost)
{
    const Py_ssize_t width = columns->width;
    const Element element = columns->element;
    for (Py_ssize_t row = 0; row < columns->rows; row++) {
        const Py_ssize_t first = row * width;
        const float *steps = columns->steps + first, *zeros = columns->zeros + first, *bases = columns->bases + first;
        float *slope = gradient + first;
        for (Py_ssize_t j = 0; j < width; j++) {
            const float *moments = columns->between + j * width;
            const float wanted = stored[first + j] + slope[j] / moments[j];
            const float better = nearest((wanted - bases[j]) / steps[j], zeros[j], &element) * steps[j] + bases[j];
            const float change = stored[first + j] - better;
            lost[first + j] = change;
            if (change == 0)
                continue;
            stored[first + j] = better;
            for (Py_ssize_t k = 0; k < width; k++)
                slope[k] += change * moments[k];
        }
    }
}

typedef void Loop(const Columns *, float *, float *, float *);

static PyObject *over_columns(PyObject *args, Array first, Array second, Loop *loop)
{
    Array arrays[] = {first, second, {"steps", FLOAT32, 2}, {"zeros", FLOAT32, 2}, {"bases", FLOAT32, 2},
                      {"between", FLOAT32, 2}, {"lost", FLOAT32, 2, WRITTEN}};
    Columns columns;
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&ffiiO&", take, &arrays[0], take, &arrays[1], take, &arrays[2], take,
                          &arrays[3], take, &arrays[4], take, &arrays[5], &columns.element.lowest,
                          &columns.element.highest, &columns.element.mantissa, &columns.element.least_exponent, take,
                          &arrays[6]))
        return NULL;
    columns.rows = arrays[0].view.shape[0];
    columns.width = arrays[0].view.shape[1];
    columns.steps = arrays[2].view.buf;
    columns.zeros = arrays[3].view.buf;
    columns.bases = arrays[4].view.buf;
    columns.between = arrays[5].view.buf;
    int fits = 1;
    for (int i = 0; i < 7; i++)
        fits = fits && arrays[i].view.shape[0] == (i == 5 ? columns.width : columns.rows)
            && arrays[i].view.shape[1] == columns.width;
    PyObject *result = NULL;
    if (require(fits, "all must have the shape of the first, between that of its columns")) {
        Py_BEGIN_ALLOW_THREADS
        loop(&columns, arrays[0].view.buf, arrays[1].view.buf, arrays[6].view.buf);
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    release(7, arrays);
    return result;
}

static void rounding(const Columns *columns, float *given, float *moved, float *lost)
{
    round_columns(columns, given, moved, lost);
}

static void descending(const Columns *columns, float *stored, float *gradient, float *lost)
{
    descend_columns(columns, stored, gradient, lost);
}

static PyObject *round_in_turn(PyObject *Py_UNUSED(module), PyObject *args)
{
    return over_columns(args, (Array){"given", FLOAT32, 2}, (Array){"moved", FLOAT32, 2, WRITTEN}, rounding);
}

static PyObject *descend(PyObject *Py_UNUSED(module), PyObject *args)
{
    return over_columns(args, (Array){"stored", FLOAT32, 2, WRITTEN}, (Array){"gradient", FLOAT32, 2, WRITTEN},
                        descending);
}

static PyMethodDef methods[] = {
    {"descend", descend, METH_VARARGS, NULL},
    {"round_in_turn", round_in_turn, METH_VARARGS, NULL},
    {"squared_errors", squared_errors, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
