/* Loops over boxes: which stay, and which labelled boxes they match. */

#include "kernels.h"

enum { MOST_STEPS = 16, UPPER_HALVES = 1 << 15 };

static Py_ssize_t reached_by(const float *scores, Py_ssize_t size, Py_ssize_t most, int64_t *counts)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        uint32_t bits;
        memcpy(&bits, &scores[i], sizeof bits);
        if (scores[i] > 0)
            counts[bits >> 16]++;
    }
    int64_t reached = 0;
    for (int upper = UPPER_HALVES - 1; upper >= 0; upper--) {
        reached += counts[upper];
        if (reached >= most)
            return (Py_ssize_t)upper << 16;
    }
    return 0;
}

static PyObject *bits_below_best(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array scores = {"scores", FLOAT32, 1};
    Py_ssize_t most, bits;
    if (!PyArg_ParseTuple(args, "O&n", take, &scores, &most))
        return NULL;
    PyObject *result = NULL;
    int64_t *counts = PyMem_Calloc(UPPER_HALVES, sizeof *counts);
    if (counts) {
        Py_BEGIN_ALLOW_THREADS
        bits = reached_by(scores.view.buf, size_of(&scores), most, counts);
        Py_END_ALLOW_THREADS
        result = PyLong_FromSsize_t(bits);
    } else
        PyErr_NoMemory();
    PyMem_Free(counts);
    release(1, &scores);
    return result;
}

static inline uint32_t sign_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits & 0x80000000U;
}

static inline int overlap(const float *a, const float *b, float iou)
{
    const float width = LESSER(a[2], b[2]) - GREATER(a[0], b[0]);
    const float height = LESSER(a[3], b[3]) - GREATER(a[1], b[1]);
    /* Most boxes lie apart, but in which direction cannot be foreseen: one branch for both. */
    if ((sign_of(width) | sign_of(height)) || !(width > 0 && height > 0))
        return 0;
    const float shared = width * height;
    const float united = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared;
    return shared > iou * united;
}

/* Fills kept (most) and gives how many were kept, or -1 where a class lies beyond class_count. newest (one a
   class) and earlier (most) make a chain through each class's kept boxes: the newest, and before each the one kept
   earlier; what ends it is -1. */
static Py_ssize_t keep(const float *boxes, const int64_t *classes, Py_ssize_t size, Py_ssize_t class_count,
                       float iou, Py_ssize_t most, int64_t *kept, int64_t *newest, int64_t *earlier)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t index = 0; index < size && count < most; index++) {
        if (classes[index] < 0 || classes[index] >= class_count)
            return -1;
        int64_t *last = newest + classes[index], link = *last;
        while (link >= 0 && !overlap(boxes + 4 * kept[link], boxes + 4 * index, iou))
            link = earlier[link];
        if (link < 0) {
            kept[count] = index;
            earlier[count] = *last;
            *last = count++;
        }
    }
    return count;
}

static PyObject *kept_of(Array *boxes, Array *classes, Py_ssize_t class_count, float iou, Py_ssize_t most)
{
    const Py_ssize_t size = length_of(boxes), room = LESSER(most, size);
    Array kept = {"kept", INT64, 1, WRITTEN};
    PyObject *made = zeros(room, &kept), *result = NULL;
    if (!made)
        return NULL;
    int64_t *newest = PyMem_Malloc(((size_t)class_count + (size_t)room) * sizeof *newest);
    if (newest) {
        Py_ssize_t count;
        memset(newest, 0xFF, (size_t)class_count * sizeof *newest); /* -1 */
        Py_BEGIN_ALLOW_THREADS
        count = keep(boxes->view.buf, classes->view.buf, size, class_count, iou, room, kept.view.buf, newest,
                     newest + class_count);
        Py_END_ALLOW_THREADS
        if (require(count >= 0, "classes must lie in [0, class_count)"))
            result = PySequence_GetSlice(made, 0, count);
    } else
        PyErr_NoMemory();
    PyMem_Free(newest);
    release(1, &kept);
    Py_DECREF(made);
    return result;
}

static PyObject *greedily_kept(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"boxes", FLOAT32, 2}, {"classes", INT64, 1}};
    Array *boxes = &arrays[0], *classes = &arrays[1];
    Py_ssize_t class_count, most;
    float iou;
    if (!PyArg_ParseTuple(args, "O&O&nfn", take, boxes, take, classes, &class_count, &iou, &most))
        return NULL;
    PyObject *result = NULL;
    if (require(boxes->view.shape[1] == 4, "boxes must have 4 columns")
        && require(size_of(classes) == length_of(boxes), "boxes and classes must be of one length")
        && require(most >= 0, "most must not be negative")
        && require(class_count >= 0 && class_count <= PY_SSIZE_T_MAX / 32, "class_count is out of range"))
        result = kept_of(boxes, classes, class_count, iou, most);
    release(2, arrays);
    return result;
}

/* Boxes are left, top, width, height. */
static inline double coco_overlap(const double *found, const double *labelled, int is_crowd)
{
    const double found_right = found[0] + found[2], labelled_right = labelled[0] + labelled[2];
    const double found_bottom = found[1] + found[3], labelled_bottom = labelled[1] + labelled[3];
    const double width = LESSER(found_right, labelled_right) - GREATER(found[0], labelled[0]);
    const double height = LESSER(found_bottom, labelled_bottom) - GREATER(found[1], labelled[1]);
    if (!(width > 0 && height > 0))
        return 0;
    const double shared = width * height, area = found[2] * found[3];
    return shared / (is_crowd ? area : area + labelled[2] * labelled[3] - shared);
}

/* The free labelled box that overlaps most, of equals the later; a crowd only when no other does; -1: none. */
static Py_ssize_t best_free(const double *overlaps, const uint16_t *taken, const char *crowd, Py_ssize_t size,
                            uint16_t bit, double threshold)
{
    Py_ssize_t best = -1;
    const double nearly_one = 1 - 1e-10;
    double least = LESSER(threshold, nearly_one);
    for (Py_ssize_t other = 0; other < size; other++) {
        if ((taken[other] & bit) && !crowd[other])
            continue;
        if (best >= 0 && crowd[other] && !crowd[best])
            break;
        if (overlaps[other] >= least) {
            least = overlaps[other];
            best = other;
        }
    }
    return best;
}

typedef struct {
    Py_ssize_t found_size, labelled_size, steps;
    const double *found, *labelled, *thresholds;
    const int64_t *found_keys, *labelled_keys;
    const char *crowd;
    uint16_t *matched, *ignored, *taken;
    double *overlaps;
} Matching;

static void match_one(const Matching *m, Py_ssize_t index, Py_ssize_t first, Py_ssize_t last)
{
    for (Py_ssize_t other = first; other < last; other++)
        m->overlaps[other - first]
            = coco_overlap(m->found + 4 * index, m->labelled + 4 * other, m->crowd[other]);
    for (Py_ssize_t step = 0; step < m->steps; step++) {
        const uint16_t bit = (uint16_t)(1U << step);
        const Py_ssize_t best
            = best_free(m->overlaps, m->taken + first, m->crowd + first, last - first, bit, m->thresholds[step]);
        if (best < 0)
            continue;
        m->taken[first + best] |= bit;
        *(m->crowd[first + best] ? m->ignored + index : m->matched + index) |= bit;
    }
}

static void match_all(const Matching *m)
{
    Py_ssize_t first = 0;
    for (Py_ssize_t index = 0; index < m->found_size; index++) {
        const int64_t key = m->found_keys[index];
        while (first < m->labelled_size && m->labelled_keys[first] < key)
            first++;
        Py_ssize_t last = first;
        while (last < m->labelled_size && m->labelled_keys[last] == key)
            last++;
        if (first < last)
            match_one(m, index, first, last);
    }
}

static PyObject *matched_and_ignored(Matching *m)
{
    Array matched = {"matched", UINT16, 1, WRITTEN}, ignored = {"ignored", UINT16, 1, WRITTEN};
    PyObject *result = NULL, *first = zeros(m->found_size, &matched);
    PyObject *second = first ? zeros(m->found_size, &ignored) : NULL;
    void *scratch = PyMem_Calloc((size_t)m->labelled_size + 1, sizeof *m->overlaps + sizeof *m->taken);
    if (first && second && scratch) {
        m->matched = matched.view.buf;
        m->ignored = ignored.view.buf;
        m->overlaps = scratch;
        m->taken = (uint16_t *)(m->overlaps + m->labelled_size);
        Py_BEGIN_ALLOW_THREADS
        match_all(m);
        Py_END_ALLOW_THREADS
        result = PyTuple_Pack(2, first, second);
    } else if (!PyErr_Occurred())
        PyErr_NoMemory();
    PyMem_Free(scratch);
    if (first)
        release(1, &matched);
    if (second)
        release(1, &ignored);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return result;
}

static PyObject *matches(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {
        {"found", FLOAT64, 2},       {"found_keys", INT64, 1}, {"labelled", FLOAT64, 2},
        {"labelled_keys", INT64, 1}, {"crowd", BOOL, 1},       {"thresholds", FLOAT64, 1},
    };
    Array *found = &arrays[0], *found_keys = &arrays[1], *labelled = &arrays[2];
    Array *labelled_keys = &arrays[3], *crowd = &arrays[4], *thresholds = &arrays[5];
    if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&", take, found, take, found_keys, take, labelled, take,
                          labelled_keys, take, crowd, take, thresholds))
        return NULL;
    PyObject *result = NULL;
    if (require(found->view.shape[1] == 4 && labelled->view.shape[1] == 4, "boxes must have 4 columns")
        && require(size_of(found_keys) == length_of(found), "found and found_keys must be of one length")
        && require(size_of(labelled_keys) == length_of(labelled) && size_of(crowd) == length_of(labelled),
                   "labelled, labelled_keys and crowd must be of one length")
        && require(size_of(thresholds) <= MOST_STEPS, "there must be at most 16 thresholds")) {
        Matching matching = {
            .found_size = length_of(found),
            .labelled_size = length_of(labelled),
            .steps = size_of(thresholds),
            .found = found->view.buf,
            .labelled = labelled->view.buf,
            .thresholds = thresholds->view.buf,
            .found_keys = found_keys->view.buf,
            .labelled_keys = labelled_keys->view.buf,
            .crowd = crowd->view.buf,
        };
        result = matched_and_ignored(&matching);
    }
    release(6, arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"bits_below_best", bits_below_best, METH_VARARGS, NULL},
    {"greedily_kept", greedily_kept, METH_VARARGS, NULL},
    {"matches", matches, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
