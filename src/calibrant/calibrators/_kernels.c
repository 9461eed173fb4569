/* The searches of the calibrators that weigh every threshold; the formulas are told in numba_kernels.py. */

#include "kernels.h"

enum { LEVELS = 128 };

/* More than the prefix sums can be wrong by, less than candidates differ by. */
static const double ROUNDING = 1e-9;

/* size bins, and prefix sums of their mass, of how many are not empty, and of x log x. */
typedef struct {
    Py_ssize_t size;
    double *bins, *mass, *plogp, *divergences;
    int64_t *filled;
} Search;

static inline double x_log_x(double x) { return x > 0 ? x * log(x) : 0.0; }

/* Where the last bin of a group of kept bins ends. */
static inline Py_ssize_t end_of(int group, Py_ssize_t kept) { return ((group + 1) * kept + LEVELS - 1) / LEVELS; }

static void sum_up(const Search *search, const int64_t *counts)
{
    for (Py_ssize_t j = 0; j < search->size; j++)
        search->bins[j] = (double)counts[j];
    search->bins[0] = search->bins[1];
    search->mass[0] = search->plogp[0] = 0;
    search->filled[0] = 0;
    for (Py_ssize_t j = 0; j < search->size; j++) {
        search->mass[j + 1] = search->mass[j] + search->bins[j];
        search->filled[j + 1] = search->filled[j] + (search->bins[j] > 0);
        search->plogp[j + 1] = search->plogp[j] + x_log_x(search->bins[j]);
    }
}

/* Q is constant over the non-zero bins of a group, so a group contributes mass * log(Q) once, and the sum of
   P log P comes from prefix sums: 128 logarithms a candidate instead of 2048. */
static double divergence_of(const Search *search, Py_ssize_t kept)
{
    const double *mass = search->mass;
    const double total = mass[search->size], outliers = total - mass[kept], last = search->bins[kept - 1];
    if (last == 0 && outliers > 0)
        return INFINITY; /* P > 0 where Q = 0 */
    const double p_log_p = search->plogp[kept - 1] + x_log_x(last + outliers);
    double p_log_q = 0;
    Py_ssize_t start = 0;
    for (int group = 0; group < LEVELS; group++) {
        const Py_ssize_t end = end_of(group, kept);
        const double inside = mass[end] - mass[start];
        if (inside > 0) {
            const double level = inside / (double)(search->filled[end] - search->filled[start]);
            const double weight = inside + (group == LEVELS - 1 ? outliers : 0.0);
            p_log_q += weight * log(level);
        }
        start = end;
    }
    return (p_log_p - p_log_q) / total - log(total) + log(mass[kept]);
}

static double divergence_term_by_term(const Search *search, Py_ssize_t kept)
{
    const double *bins = search->bins, total = search->mass[search->size];
    double inside = 0, divergence = 0;
    for (Py_ssize_t j = 0; j < kept; j++)
        inside += bins[j];
    Py_ssize_t start = 0;
    for (int group = 0; group < LEVELS; group++) {
        const Py_ssize_t end = end_of(group, kept);
        double mass = 0;
        int64_t filled = 0;
        for (Py_ssize_t j = start; j < end; j++) {
            mass += bins[j];
            filled += bins[j] > 0;
        }
        for (Py_ssize_t j = start; j < end; j++) {
            const double p = bins[j] + (j == kept - 1 ? total - inside : 0.0);
            if (p > 0)
                divergence += p / total * log(p / total / (mass / (double)filled / inside));
        }
        start = end;
    }
    return divergence;
}

/* What the prefix sums' rounding could have reordered is computed again term by term, as TensorRT does. */
static Py_ssize_t last_of_the_least(const Search *search)
{
    double nearly_least = INFINITY, least = INFINITY;
    Py_ssize_t best = search->size;
    for (Py_ssize_t kept = LEVELS; kept <= search->size; kept++)
        nearly_least = LESSER(nearly_least, search->divergences[kept]);
    nearly_least += ROUNDING;
    if (isinf(nearly_least))
        return best;
    for (Py_ssize_t kept = LEVELS; kept <= search->size; kept++) {
        if (!(search->divergences[kept] <= nearly_least))
            continue;
        const double divergence = divergence_term_by_term(search, kept);
        if (divergence <= least) {
            best = kept;
            least = divergence;
        }
    }
    return best;
}

static Py_ssize_t search_for_least(const Search *search, const int64_t *counts)
{
    sum_up(search, counts);
    for (Py_ssize_t kept = LEVELS; kept <= search->size; kept++)
        search->divergences[kept] = search->filled[kept] >= 2 ? divergence_of(search, kept) : INFINITY;
    return last_of_the_least(search);
}

static PyObject *bins_of_least_divergence(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array counts = {"counts", INT64, 1};
    if (!PyArg_ParseTuple(args, "O&", take, &counts))
        return NULL;
    const Py_ssize_t size = size_of(&counts), stride = size + 1;
    PyObject *result = NULL;
    double *scratch = NULL;
    if (!require(size >= 2 && size <= 1 << 24, "counts must have 2 to 2**24 bins"))
        goto done;
    scratch = PyMem_Malloc((size_t)stride * (4 * sizeof(double) + sizeof(int64_t)));
    if (!scratch) {
        PyErr_NoMemory();
        goto done;
    }
    const Search search = {
        .size = size,
        .bins = scratch,
        .mass = scratch + stride,
        .plogp = scratch + 2 * stride,
        .divergences = scratch + 3 * stride,
        .filled = (int64_t *)(scratch + 4 * stride),
    };
    Py_ssize_t kept;
    Py_BEGIN_ALLOW_THREADS
    kept = search_for_least(&search, counts.view.buf);
    Py_END_ALLOW_THREADS
    result = PyLong_FromSsize_t(kept);
done:
    PyMem_Free(scratch);
    release(1, &counts);
    return result;
}

static inline double cube(double x) { return x * (x * x); }

/* Integral of (u - round(u))**2 from 0 to x >= 0. */
static inline double rounding_integral(double x)
{
    const double whole = floor(x + 0.5), rest = x - whole;
    return (whole + 4.0 * rest * rest * rest) / 12.0;
}

/* Thresholds beside each other: each has its own sum over the bins, in their order, and a processor's vectors
   add several at once. */
enum { LANES = 8 };

typedef struct {
    double threshold[LANES], step[LANES], cubed_step[LANES];
    double integral[LANES]; /* of rounding, up to the edge that was reached */
    double error[LANES];
} Lanes;

typedef struct {
    double low, high, count, width;
} Bin;

static inline void add_rounding(Lanes *lanes, Bin bin)
{
    for (int t = 0; t < LANES; t++) {
        const double reached = rounding_integral(bin.high / lanes->step[t]);
        const double lost = (reached - lanes->integral[t]) * lanes->cubed_step[t];
        lanes->error[t] += bin.count * lost / bin.width;
        lanes->integral[t] = reached;
    }
}

static inline void add_both(Lanes *lanes, Bin bin)
{
    for (int t = 0; t < LANES; t++) {
        const double threshold = lanes->threshold[t];
        const double inner = LESSER(bin.high, threshold), outer = GREATER(bin.low, threshold);
        const double reached = rounding_integral(inner / lanes->step[t]);
        const double rounded = (reached - lanes->integral[t]) * lanes->cubed_step[t];
        const double clipped = (cube(bin.high - threshold) - cube(outer - threshold)) / 3.0;
        double lost = bin.low < inner ? rounded : 0.0;
        lost = outer < bin.high ? lost + clipped : lost;
        lanes->error[t] += bin.count * lost / bin.width;
        lanes->integral[t] = reached;
    }
}

VECTORISED static void add_errors(const int64_t *counts, Py_ssize_t size, double width, Lanes *into)
{
    Lanes lanes = *into;
    double least = INFINITY;
    for (int t = 0; t < LANES; t++)
        least = LESSER(least, lanes.threshold[t]);
    Py_ssize_t reached = -1; /* the bin at whose lower edge the integrals are */
    for (Py_ssize_t b = 0; b < size; b++) {
        if (counts[b] == 0)
            continue;
        const Bin bin = {(double)b * width, (double)(b + 1) * width, (double)counts[b], width};
        for (int t = 0; t < LANES && reached != b; t++)
            lanes.integral[t] = rounding_integral(bin.low / lanes.step[t]);
        if (bin.low < bin.high && bin.high <= least)
            add_rounding(&lanes, bin);
        else
            add_both(&lanes, bin);
        reached = b + 1;
    }
    *into = lanes;
}

static void find_errors(const int64_t *counts, Py_ssize_t size, double width, const double *thresholds,
                        Py_ssize_t tried, double levels, double *errors)
{
    for (Py_ssize_t first = 0; first < tried; first += LANES) {
        const Py_ssize_t used = LESSER(tried - first, LANES);
        Lanes lanes = {{0}};
        for (Py_ssize_t t = 0; t < LANES; t++) {
            lanes.threshold[t] = thresholds[first + LESSER(t, used - 1)];
            lanes.step[t] = lanes.threshold[t] / levels;
            lanes.cubed_step[t] = cube(lanes.step[t]);
        }
        add_errors(counts, size, width, &lanes);
        memcpy(errors + first, lanes.error, (size_t)used * sizeof *errors);
    }
}

static PyObject *squared_errors(PyObject *Py_UNUSED(module), PyObject *args)
{
    Array arrays[] = {{"counts", INT64, 1}, {"thresholds", FLOAT64, 1}}, errors = {"errors", FLOAT64, 1, WRITTEN};
    Array *counts = &arrays[0], *thresholds = &arrays[1];
    double limit, levels;
    if (!PyArg_ParseTuple(args, "O&dO&d", take, counts, &limit, take, thresholds, &levels))
        return NULL;
    const Py_ssize_t size = size_of(counts), tried = size_of(thresholds);
    PyObject *result = zeros(tried, &errors);
    if (result) {
        Py_BEGIN_ALLOW_THREADS
        find_errors(counts->view.buf, size, limit / (double)size, thresholds->view.buf, tried, levels, errors.view.buf);
        Py_END_ALLOW_THREADS
        release(1, &errors);
    }
    release(2, arrays);
    return result;
}

static PyMethodDef methods[] = {
    {"bins_of_least_divergence", bins_of_least_divergence, METH_VARARGS, NULL},
    {"squared_errors", squared_errors, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModuleDef_Init(&module); }
