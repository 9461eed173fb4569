/* COCO's mean average precision under many weightings of the images. */

#include "kernels.h"

/* Rows of weights lie beside each other, and a processor's vectors take several at once. Sums of weights are whole
   numbers, and exact. */
enum { MOST_STEPS = 16, LANES = 16, MOST_TRUTHS = 1024, ALIGNMENT = 64 };

typedef double Lanes[LANES];

/* The arrays of a MatchTable. most_hits: of one class's detections, that count or are ignored at some threshold. */
typedef struct {
    Py_ssize_t rows, images, classes, truths, recall_count, steps, most_hits;
    const int64_t *weights, *starts;
    const int32_t *image, *truth_image, *truth_class;
    const uint16_t *matched, *ignored;
    const double *recalls;
} Table;

/* What is known of some rows. reached: for n truths, from place n * (n + 1) / 2 on, how many recalls each number of
   hits reaches; has_reached: for which n. The last four are of one class: the weight of all detections up to each
   hit, which one it is, and the precision and image of the right ones. */
typedef struct {
    Lanes *weights, *truths_of;
    int32_t *reached;
    uint8_t *has_reached;
    Lanes *seen, *precision;
    Py_ssize_t *hits;
    int32_t *image;
} Rows;

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

/* Where the table for so many truths begins in rows->reached; it is made when it is first asked for. */
static int32_t table_for(const Table *t, const Rows *rows, int32_t truths)
{
    const int32_t begin = truths * (truths + 1) / 2;
    int32_t *counts = rows->reached + begin;
    if (!rows->has_reached[truths]) {
        counts[0] = 0;
        for (int32_t hits = 1; hits <= truths; hits++)
            counts[hits] = (int32_t)reached((double)hits / (double)truths, t->recalls, t->recall_count);
        rows->has_reached[truths] = 1;
    }
    return begin;
}

/* Which of a class's detections are no plain mistakes, and the weight of all up to each; returns how many. */
VECTORISED static Py_ssize_t find_hits(const Table *t, const Rows *rows, Py_ssize_t class)
{
    Lanes seen = {0};
    Py_ssize_t count = 0;
    for (Py_ssize_t index = t->starts[class]; index < t->starts[class + 1]; index++) {
        const double *weight = rows->weights[t->image[index]];
        for (int row = 0; row < LANES; row++)
            seen[row] += weight[row];
        if ((t->matched[index] | t->ignored[index]) == 0)
            continue;
        memcpy(rows->seen[count], seen, sizeof seen);
        rows->hits[count++] = index;
    }
    return count;
}

/* Precision at each right detection for one IoU threshold; returns how many there are, and their weight in hits.
   A wrong one needs no entry: between two right ones recall stands still and precision falls. In rows where the right
   one has no weight its entry is such, too. */
VECTORISED static Py_ssize_t find_precision(const Table *t, const Rows *rows, Py_ssize_t count, Py_ssize_t step,
                                            Lanes hits)
{
    Lanes skipped = {0}, found = {0};
    Py_ssize_t right = 0;
    for (Py_ssize_t hit = 0; hit < count; hit++) {
        const Py_ssize_t index = rows->hits[hit];
        const double *weight = rows->weights[t->image[index]], *seen = rows->seen[hit];
        if (t->ignored[index] >> step & 1) {
            for (int row = 0; row < LANES; row++)
                skipped[row] += weight[row];
        } else if (t->matched[index] >> step & 1) {
            double *precision = rows->precision[right];
            for (int row = 0; row < LANES; row++) {
                found[row] += weight[row];
                precision[row] = found[row] / (seen[row] - skipped[row] + 2.220446049250313e-16);
            }
            rows->image[right++] = t->image[index];
        }
    }
    memcpy(hits, found, sizeof found);
    return right;
}

/* Sum over recalls of the best precision at that recall or a higher one. places: in rows->reached, of all hits. */
VECTORISED static void sum_precision(const Rows *rows, Py_ssize_t right, const int32_t *places, Lanes sums)
{
    Lanes total = {0}, best = {0}, so_far;
    int32_t place[LANES];
    for (int row = 0; row < LANES; row++) {
        place[row] = places[row];
        so_far[row] = rows->reached[place[row]];
    }
    while (right-- > 0) {
        const double *weight = rows->weights[rows->image[right]], *precision = rows->precision[right];
        for (int row = 0; row < LANES; row++) {
            place[row] -= (int32_t)weight[row];
            const double before = rows->reached[place[row]];
            best[row] = GREATER(best[row], precision[row]);
            total[row] += best[row] * (so_far[row] - before);
            so_far[row] = before;
        }
    }
    memcpy(sums, total, sizeof total);
}

/* The same of one row, for more truths or hits than tables are kept for. */
static double precision_of_many(const Table *t, const Rows *rows, Py_ssize_t right, int row, double hits, double truths)
{
    double total = 0, best = 0;
    Py_ssize_t so_far = hits > 0 ? reached(hits / truths, t->recalls, t->recall_count) : 0;
    while (right-- > 0) {
        hits -= rows->weights[rows->image[right]][row];
        const Py_ssize_t before = hits > 0 ? reached(hits / truths, t->recalls, t->recall_count) : 0;
        best = GREATER(best, rows->precision[right][row]);
        total += best * (double)(so_far - before);
        so_far = before;
    }
    return total;
}

/* Adds each row's interpolated precision of one class for one IoU threshold. */
static void add_precision(const Table *t, const Rows *rows, Py_ssize_t class, Py_ssize_t count, Py_ssize_t step,
                          Lanes totals)
{
    Lanes hits, sums;
    const double *truths = rows->truths_of[class];
    int32_t places[LANES];
    const Py_ssize_t right = find_precision(t, rows, count, step, hits);
    int are_few = 1;
    for (int row = 0; row < LANES; row++)
        are_few &= hits[row] <= truths[row] && truths[row] <= MOST_TRUTHS;
    for (int row = 0; row < LANES; row++) {
        if (are_few)
            places[row] = table_for(t, rows, (int32_t)truths[row]) + (int32_t)hits[row];
        else
            sums[row] = precision_of_many(t, rows, right, row, hits[row], truths[row]);
    }
    if (are_few)
        sum_precision(rows, right, places, sums);
    for (int row = 0; row < LANES; row++)
        if (truths[row] > 0)
            totals[row] += sums[row] / (double)t->recall_count;
}

static void take_weights(const Table *t, const Rows *rows, Py_ssize_t first, Py_ssize_t used)
{
    memset(rows->weights, 0, (size_t)t->images * sizeof(Lanes));
    memset(rows->truths_of, 0, (size_t)t->classes * sizeof(Lanes));
    for (Py_ssize_t row = 0; row < used; row++)
        for (Py_ssize_t image = 0; image < t->images; image++)
            rows->weights[image][row] = (double)t->weights[(first + row) * t->images + image];
    for (Py_ssize_t index = 0; index < t->truths; index++)
        for (int row = 0; row < LANES; row++)
            rows->truths_of[t->truth_class[index]][row] += rows->weights[t->truth_image[index]][row];
}

static void find_means(const Table *t, const Rows *rows, double *means, Py_ssize_t used)
{
    Lanes totals = {0};
    Py_ssize_t present[LANES] = {0};
    for (Py_ssize_t class = 0; class < t->classes; class++) {
        int are_present = 0;
        for (int row = 0; row < LANES; row++) {
            present[row] += rows->truths_of[class][row] > 0;
            are_present |= rows->truths_of[class][row] > 0;
        }
        if (!are_present)
            continue;
        const Py_ssize_t count = find_hits(t, rows, class);
        for (Py_ssize_t step = 0; step < t->steps; step++)
            add_precision(t, rows, class, count, step, totals);
    }
    for (Py_ssize_t row = 0; row < used; row++)
        means[row] = present[row] ? totals[row] / (double)(present[row] * t->steps) : NAN;
}

static Py_ssize_t most_hits_of(const Table *t)
{
    Py_ssize_t most = 0;
    for (Py_ssize_t class = 0; class < t->classes; class++) {
        Py_ssize_t hits = 0;
        for (Py_ssize_t index = t->starts[class]; index < t->starts[class + 1]; index++)
            hits += (t->matched[index] | t->ignored[index]) != 0;
        most = GREATER(most, hits);
    }
    return most;
}

static PyObject *precision_of_rows(const Table *t)
{
    Array means = {"means", FLOAT64, 1, WRITTEN};
    PyObject *result = zeros(t->rows, &means);
    if (!result)
        return NULL;
    const size_t kept = (size_t)(MOST_TRUTHS + 1) * (MOST_TRUTHS + 2) / 2, hits = (size_t)t->most_hits;
    const size_t lanes = (size_t)(t->images + t->classes) + 2 * hits;
    char *scratch = PyMem_Malloc(
        ALIGNMENT + lanes * sizeof(Lanes) + hits * (sizeof(Py_ssize_t) + sizeof(int32_t)) + kept * sizeof(int32_t) + MOST_TRUTHS + 1);
    if (scratch) {
        Rows rows = {.weights = (Lanes *)(scratch + ALIGNMENT - (uintptr_t)scratch % ALIGNMENT)};
        rows.truths_of = rows.weights + t->images;
        rows.seen = rows.truths_of + t->classes;
        rows.precision = rows.seen + hits;
        rows.hits = (Py_ssize_t *)(rows.precision + hits);
        rows.image = (int32_t *)(rows.hits + hits);
        rows.reached = rows.image + hits;
        rows.has_reached = (uint8_t *)(rows.reached + kept);
        memset(rows.has_reached, 0, MOST_TRUTHS + 1);
        double *mean = means.view.buf;
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t first = 0; first < t->rows; first += LANES) {
            const Py_ssize_t used = LESSER(t->rows - first, LANES);
            take_weights(t, &rows, first, used);
            find_means(t, &rows, mean + first, used);
        }
        Py_END_ALLOW_THREADS
    } else {
        PyErr_NoMemory();
        Py_CLEAR(result);
    }
    PyMem_Free(scratch);
    release(1, &means);
    return result;
}

static int are_counts(const int64_t *weights, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++)
        if (weights[i] < 0)
            return 0;
    return 1;
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
    if (require(are_counts(table.weights, size_of(weights)), "weights must not be negative")
        && require(steps >= 0 && steps <= MOST_STEPS, "there must be at most 16 steps")
        && require(size_of(matched) == size_of(image) && size_of(ignored) == size_of(image),
                   "image, matched and ignored must be of one length")
        && require(size_of(truth_class) == table.truths, "truth_image and truth_class must be of one length")
        && require(table.classes >= 0 && are_starts(table.starts, table.classes, size_of(image)),
                   "starts must rise from 0 to the number of detections")
        && require(are_below(table.image, size_of(image), table.images)
                       && are_below(table.truth_image, table.truths, table.images),
                   "image and truth_image must be columns of weights")
        && require(are_below(table.truth_class, table.truths, table.classes),
                   "truth_class must be below the number of classes")) {
        table.most_hits = most_hits_of(&table);
        result = precision_of_rows(&table);
    }
    release(8, arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"weighted_mean_precision", weighted_mean_precision, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_precision_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__precision_kernels(void) { return PyModuleDef_Init(&module); }
