/* COCO's mean average precision under many weightings of the images. */

#include "kernels.h"

enum { MOST_STEPS = 16 };

/* The arrays of a MatchTable, and one class's recall and precision, (steps, longest). */
typedef struct {
    Py_ssize_t rows, images, classes, truths, recall_count, steps, longest;
    const int64_t *weights, *starts;
    const int32_t *image, *truth_image, *truth_class;
    const uint16_t *matched, *ignored;
    const double *recalls;
    double *recall, *precision, *truths_of;
} Table;

/* Recall and precision after each right detection of one class, for each IoU threshold; fills lengths, how many
   there are. Wrong detections need no entry: between two right ones recall stands still and precision falls. */
static void precision_at_hits(const Table *t, const int64_t *weights, Py_ssize_t class, Py_ssize_t *lengths)
{
    double hits[MOST_STEPS] = {0}, skipped[MOST_STEPS] = {0}, seen = 0;
    memset(lengths, 0, MOST_STEPS * sizeof *lengths);
    for (Py_ssize_t index = t->starts[class]; index < t->starts[class + 1]; index++) {
        const double weight = (double)weights[t->image[index]];
        seen += weight; /* first, as most detections are wrong and a third of all weights zero: one branch less */
        const unsigned matched = t->matched[index], ignored = t->ignored[index];
        if ((matched | ignored) == 0 || weight == 0)
            continue;
        for (Py_ssize_t step = 0; step < t->steps; step++) {
            if (ignored >> step & 1)
                skipped[step] += weight;
            else if (matched >> step & 1) {
                const Py_ssize_t place = step * t->longest + lengths[step]++;
                hits[step] += weight;
                t->recall[place] = hits[step] / t->truths_of[class];
                t->precision[place] = hits[step] / (seen - skipped[step] + 2.220446049250313e-16);
            }
        }
    }
}

/* How many of recalls, which rise from 0 to 1, are at most recall. */
static inline Py_ssize_t reached(double recall, const double *recalls, Py_ssize_t size)
{
    const double scaled = recall * (double)(size - 1); /* exact, where they lie evenly */
    Py_ssize_t count = scaled < (double)(size - 1) ? (scaled > 0 ? (Py_ssize_t)scaled : 0) + 1 : size;
    while (count < size && recalls[count] <= recall)
        count++;
    while (count > 0 && recalls[count - 1] > recall)
        count--;
    return count;
}

/* Mean over recalls of the best precision at that recall or a higher one. */
static double interpolated(const Table *t, const double *recall, const double *precision, Py_ssize_t length)
{
    double total = 0, best = 0;
    Py_ssize_t so_far = length ? reached(recall[length - 1], t->recalls, t->recall_count) : 0;
    for (Py_ssize_t index = length - 1; index >= 0; index--) {
        const Py_ssize_t before = index ? reached(recall[index - 1], t->recalls, t->recall_count) : 0;
        best = GREATER(best, precision[index]);
        total += best * (double)(so_far - before);
        so_far = before;
    }
    return total / (double)t->recall_count;
}

static double mean_precision(const Table *t, const int64_t *weights)
{
    double total = 0;
    Py_ssize_t present = 0, lengths[MOST_STEPS];
    memset(t->truths_of, 0, (size_t)t->classes * sizeof *t->truths_of);
    for (Py_ssize_t index = 0; index < t->truths; index++)
        t->truths_of[t->truth_class[index]] += (double)weights[t->truth_image[index]];
    for (Py_ssize_t class = 0; class < t->classes; class++) {
        if (t->truths_of[class] == 0)
            continue;
        present++;
        precision_at_hits(t, weights, class, lengths);
        for (Py_ssize_t step = 0; step < t->steps; step++) {
            const Py_ssize_t place = step * t->longest;
            total += interpolated(t, t->recall + place, t->precision + place, lengths[step]);
        }
    }
    return present ? total / (double)(present * t->steps) : NAN;
}

static PyObject *precision_of_rows(Table *t)
{
    Array means = {"means", FLOAT64, 1, WRITTEN};
    for (Py_ssize_t class = 0; class < t->classes; class++)
        t->longest = GREATER(t->longest, t->starts[class + 1] - t->starts[class]);
    PyObject *result = zeros(t->rows, &means);
    if (!result)
        return NULL;
    const Py_ssize_t curve = t->steps * t->longest;
    double *scratch = PyMem_Malloc((size_t)(2 * curve + t->classes + 1) * sizeof *scratch), *mean = means.view.buf;
    if (scratch) {
        t->recall = scratch;
        t->precision = scratch + curve;
        t->truths_of = scratch + 2 * curve;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t row = 0; row < t->rows; row++)
            mean[row] = mean_precision(t, t->weights + row * t->images);
        Py_END_ALLOW_THREADS
    } else {
        PyErr_NoMemory();
        Py_CLEAR(result);
    }
    PyMem_Free(scratch);
    release(1, &means);
    return result;
}

static int are_below(const int32_t *indices, Py_ssize_t size, Py_ssize_t limit)
{
    for (Py_ssize_t i = 0; i < size; i++)
        if (indices[i] < 0 || indices[i] >= limit)
            return 0;
    return 1;
}

static int are_starts(const int64_t *starts, Py_ssize_t classes, Py_ssize_t detections)
{
    for (Py_ssize_t class = 0; class < classes; class++)
        if (starts[class] > starts[class + 1])
            return 0;
    return starts[0] >= 0 && starts[classes] <= detections;
}

static PyObject *weighted_mean_precision(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {
        {"weights", INT64, 2},      {"starts", INT64, 1},      {"image", INT32, 1},       {"matched", UINT16, 1},
        {"ignored", UINT16, 1},     {"truth_image", INT32, 1}, {"truth_class", INT32, 1}, {"recalls", FLOAT64, 1},
    };
    Array *weights = &arrays[0], *starts = &arrays[1], *image = &arrays[2], *matched = &arrays[3];
    Array *ignored = &arrays[4], *truth_image = &arrays[5], *truth_class = &arrays[6], *recalls = &arrays[7];
    Py_ssize_t steps;
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&O&nO&", take, weights, take, starts, take, image, take, matched,
                          take, ignored, take, truth_image, take, truth_class, &steps, take, recalls))
        return NULL;
    Table table = {
        .rows = weights->view.shape[0],
        .images = weights->view.shape[1],
        .classes = size_of(starts) - 1,
        .truths = size_of(truth_image),
        .recall_count = size_of(recalls),
        .steps = steps,
        .weights = weights->view.buf,
        .starts = starts->view.buf,
        .image = image->view.buf,
        .truth_image = truth_image->view.buf,
        .truth_class = truth_class->view.buf,
        .matched = matched->view.buf,
        .ignored = ignored->view.buf,
        .recalls = recalls->view.buf,
    };
    PyObject *result = NULL;
    if (require(steps >= 0 && steps <= MOST_STEPS, "there must be at most 16 steps")
        && require(size_of(matched) == size_of(image) && size_of(ignored) == size_of(image),
                   "image, matched and ignored must be of one length")
        && require(size_of(truth_class) == table.truths, "truth_image and truth_class must be of one length")
        && require(table.classes >= 0 && are_starts(table.starts, table.classes, size_of(image)),
                   "starts must rise from 0 to the number of detections")
        && require(are_below(table.image, size_of(image), table.images)
                       && are_below(table.truth_image, table.truths, table.images),
                   "image and truth_image must be columns of weights")
        && require(are_below(table.truth_class, table.truths, table.classes),
                   "truth_class must be below the number of classes"))
        result = precision_of_rows(&table);
    release(8, arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"weighted_mean_precision", weighted_mean_precision, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_precision_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__precision_kernels(void) { return PyModuleDef_Init(&module); }
