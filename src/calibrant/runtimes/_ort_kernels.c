/* Operators of Calibrant's inside ONNX Runtime, each with one input and one output of the same shape, in place where
   nobody else reads the input:

   QuantizeDequantize, a Q/DQ pair on an activation. It is QuantizeLinear and DequantizeLinear to the bit, which need
   two passes, an integer tensor between them, and about three times as long.
   Watch, which hands its values to Python while they are in the processor's cache, and passes them on.

   ONNX Runtime loads this file a second time, as a library of operators, and calls RegisterCustomOps. Its C API is a
   table of functions that only ever grows at its end: places and types below are those of version 18, the first that
   lets an operator work in place, and the runtime says whether it still has them. */

#include "kernels.h"

#include <stdlib.h>

#if defined(_MSC_VER)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

enum { API_VERSION = 18, FLOAT = 1, REQUIRED = 0, MOST_DIMENSIONS = 8 };

/* Where the table has the functions that are used here. */
enum {
    CREATE_STATUS = 0,
    CREATE_DOMAIN = 26,
    ADD_OPERATOR = 27,
    ADD_DOMAIN = 28,
    DATA_OF = 51,
    RANK_OF = 61,
    DIMENSIONS_OF = 62,
    SIZE_OF = 64,
    SHAPE_OF = 65,
    FLOAT_ATTRIBUTE = 85,
    INTEGER_ATTRIBUTE = 86,
    INPUT_OF = 90,
    OUTPUT_OF = 91,
    RELEASE_SHAPE = 99,
    KNOWN_SHAPE_OF_INPUT = 268,
    SET_SHAPE_OF_OUTPUT = 270,
};

typedef struct Status Status; /* NULL: all is well */
typedef struct Shape Shape;
typedef struct Value Value;
typedef void (*Function)(void);
typedef const Function *Api;
typedef struct Operator Operator;

/* In the order and with the types of OrtCustomOp. */
struct Operator {
    uint32_t version;
    void *(*create_without_status)(const Operator *, Api, const void *);
    const char *(*name)(const Operator *);
    const char *(*provider)(const Operator *);
    int (*input_type)(const Operator *, size_t);
    size_t (*inputs)(const Operator *);
    int (*output_type)(const Operator *, size_t);
    size_t (*outputs)(const Operator *);
    void (*compute_without_status)(void *, void *);
    void (*destroy)(void *);
    int (*input_kind)(const Operator *, size_t);
    int (*output_kind)(const Operator *, size_t);
    int (*input_memory)(const Operator *, size_t);
    int (*fewest_inputs)(const Operator *);
    int (*inputs_are_alike)(const Operator *);
    int (*fewest_outputs)(const Operator *);
    int (*outputs_are_alike)(const Operator *);
    Status *(*create)(const Operator *, Api, const void *, void **);
    Status *(*compute)(void *, void *);
    Status *(*infer_shape)(const Operator *, void *);
    int (*first_version)(const Operator *);
    int (*last_version)(const Operator *);
    size_t (*in_place)(int **, int **);
    void (*release_in_place)(int *, int *);
    size_t (*aliases)(int **, int **);
    void (*release_aliases)(int *, int *);
};

typedef struct {
    float *values, *results; /* the same where it works in place */
    int64_t dimensions[MOST_DIMENSIONS];
    size_t rank, size;
} Tensor;

static Api api; /* the same in a whole process */

static Status *failed(const char *words)
{
    return ((Status * (*)(int, const char *)) api[CREATE_STATUS])(1, words);
}

static Status *float_attribute(const void *node, const char *name, float *found)
{
    return ((Status * (*)(const void *, const char *, float *)) api[FLOAT_ATTRIBUTE])(node, name, found);
}

static Status *shape_of(const Value *value, Tensor *tensor)
{
    Shape *shape;
    Status *status = ((Status * (*)(const Value *, Shape **)) api[SHAPE_OF])(value, &shape);
    if (status)
        return status;
    status = ((Status * (*)(const Shape *, size_t *)) api[RANK_OF])(shape, &tensor->rank);
    if (!status && tensor->rank > MOST_DIMENSIONS)
        status = failed("too many dimensions");
    if (!status)
        status = ((Status * (*)(const Shape *, int64_t *, size_t)) api[DIMENSIONS_OF])(shape, tensor->dimensions,
                                                                                       tensor->rank);
    if (!status)
        status = ((Status * (*)(const Shape *, size_t *)) api[SIZE_OF])(shape, &tensor->size);
    ((void (*)(Shape *))api[RELEASE_SHAPE])(shape);
    return status;
}

static Status *data_of(const Value *value, float **data)
{
    void *found = NULL;
    Status *status = ((Status * (*)(const Value *, void **)) api[DATA_OF])(value, &found);
    *data = found;
    return status;
}

/* The input of a node that is run, and room for its output. */
static Status *opened(void *context, Tensor *tensor)
{
    const Value *input;
    Value *output;
    Status *status = ((Status * (*)(const void *, size_t, const Value **)) api[INPUT_OF])(context, 0, &input);
    if (!status)
        status = shape_of(input, tensor);
    if (!status)
        status = ((Status * (*)(void *, size_t, const int64_t *, size_t, Value **)) api[OUTPUT_OF])(
            context, 0, tensor->dimensions, tensor->rank, &output);
    if (!status)
        status = data_of(input, &tensor->values);
    return status ? status : data_of(output, &tensor->results);
}

/* One pair: real value = scale * integer, and the integers' limits less the zero point. */
typedef struct {
    float scale, low, high;
} Pair;

static Status *create_pair(const Operator *kind, Api own, const void *node, void **made)
{
    (void)kind, (void)own;
    Pair *pair = malloc(sizeof *pair);
    if (!pair)
        return failed("out of memory");
    Status *status = float_attribute(node, "scale", &pair->scale);
    if (!status)
        status = float_attribute(node, "low", &pair->low);
    if (!status)
        status = float_attribute(node, "high", &pair->high);
    if (status)
        free(pair);
    else
        *made = pair;
    return status;
}

/* NaN becomes the lowest integer, as in ONNX Runtime on x86. Adding and taking away 1.5 * 2**23 rounds to the nearest
   integer, ties to even, and every processor has a vector instruction for it. */
VECTORISED static void quantize_dequantize(const float *values, float *results, size_t size, float scale, float low,
                                           float high)
{
    const float rounder = 12582912.0f;
    for (size_t i = 0; i < size; i++) {
        float steps = values[i] / scale;
        steps = steps > low ? steps : low;
        steps = steps < high ? steps : high;
        results[i] = ((steps + rounder) - rounder) * scale;
    }
}

static Status *compute_pair(void *made, void *context)
{
    const Pair *pair = made;
    Tensor tensor;
    Status *status = opened(context, &tensor);
    if (!status)
        quantize_dequantize(tensor.values, tensor.results, tensor.size, pair->scale, pair->low, pair->high);
    return status;
}

/* Called with a watch's key and its values, a memoryview of float32 that ends with the call. */
static PyObject *watcher;

static Status *create_watch(const Operator *kind, Api own, const void *node, void **made)
{
    (void)kind, (void)own;
    int64_t *key = malloc(sizeof *key);
    if (!key)
        return failed("out of memory");
    Status *status =
        ((Status * (*)(const void *, const char *, int64_t *)) api[INTEGER_ATTRIBUTE])(node, "key", key);
    if (status)
        free(key);
    else
        *made = key;
    return status;
}

/* Whether the watcher came back without raising; it keeps what it raises to itself. */
static int shown(int64_t key, Tensor *tensor)
{
    Py_ssize_t shape[MOST_DIMENSIONS], strides[MOST_DIMENSIONS], stride = sizeof *tensor->values;
    for (size_t i = tensor->rank; i-- > 0; stride *= shape[i]) {
        shape[i] = (Py_ssize_t)tensor->dimensions[i];
        strides[i] = stride;
    }
    const Py_buffer buffer = {
        .buf = tensor->values,
        .len = stride,
        .itemsize = sizeof *tensor->values,
        .readonly = 1,
        .ndim = (int)tensor->rank,
        .format = "f",
        .shape = shape,
        .strides = strides,
    };
    PyObject *view = PyMemoryView_FromBuffer(&buffer);
    PyObject *answer = view && watcher ? PyObject_CallFunction(watcher, "LO", (long long)key, view) : NULL;
    Py_XDECREF(view);
    Py_XDECREF(answer);
    if (!answer)
        PyErr_Clear();
    return answer != NULL;
}

static Status *compute_watch(void *made, void *context)
{
    Tensor tensor;
    Status *status = opened(context, &tensor);
    if (status)
        return status;
    PyGILState_STATE state = PyGILState_Ensure();
    const int well = shown(*(const int64_t *)made, &tensor);
    PyGILState_Release(state);
    if (!well)
        return failed("the watcher failed");
    if (tensor.results != tensor.values)
        memcpy(tensor.results, tensor.values, tensor.size * sizeof *tensor.values);
    return NULL;
}

/* The output's shape is the input's: what it does not know, the runtime does not compute in place. */
static Status *infer_shape(const Operator *kind, void *context)
{
    (void)kind;
    Shape *shape;
    Status *status = ((Status * (*)(const void *, size_t, Shape **)) api[KNOWN_SHAPE_OF_INPUT])(context, 0, &shape);
    if (status)
        return status;
    return ((Status * (*)(const void *, size_t, const Shape *)) api[SET_SHAPE_OF_OUTPUT])(context, 0, shape);
}

/* The runtime gives the two arrays back to release_in_place. */
static size_t in_place(int **inputs, int **outputs)
{
    static int first_input = 0, first_output = 0;
    *inputs = &first_input;
    *outputs = &first_output;
    return 1;
}

static void release_in_place(int *inputs, int *outputs)
{
    (void)inputs;
    (void)outputs;
}

static const char *name_of_pair(const Operator *kind) { return (void)kind, "QuantizeDequantize"; }

static const char *name_of_watch(const Operator *kind) { return (void)kind, "Watch"; }

static const char *provider(const Operator *kind) { return (void)kind, NULL; /* the CPU's */ }

static size_t one(const Operator *kind) { return (void)kind, 1; }

static int first(const Operator *kind) { return (void)kind, 1; }

static int last(const Operator *kind) { return (void)kind, INT32_MAX; }

static int type(const Operator *kind, size_t index) { return (void)kind, (void)index, FLOAT; }

static int none(const Operator *kind, size_t index) { return (void)kind, (void)index, REQUIRED; }

#define OPERATOR(OF_NAME, CREATE, COMPUTE) \
    { \
        .version = API_VERSION, .name = OF_NAME, .provider = provider, .input_type = type, .inputs = one, \
        .output_type = type, .outputs = one, .destroy = free, .input_kind = none, .output_kind = none, \
        .input_memory = none, .fewest_inputs = first, .inputs_are_alike = first, .fewest_outputs = first, \
        .outputs_are_alike = first, .create = CREATE, .compute = COMPUTE, .infer_shape = infer_shape, \
        .first_version = first, .last_version = last, .in_place = in_place, .release_in_place = release_in_place, \
    }

static const Operator OPERATORS[] = {
    OPERATOR(name_of_pair, create_pair, compute_pair),
    OPERATOR(name_of_watch, create_watch, compute_watch),
};

typedef struct {
    Api (*version)(uint32_t);
} Base;

/* What ONNX Runtime calls for a session's options, holding the GIL, when it is told of a library of operators. */
EXPORTED Status *RegisterCustomOps(void *options, const Base *runtime)
{
    static void *domain; /* one for all sessions, and never released */
    Status *status = NULL;
    api = runtime->version(API_VERSION);
    if (api && !domain) {
        status = ((Status * (*)(const char *, void **)) api[CREATE_DOMAIN])("calibrant", &domain);
        for (size_t i = 0; !status && i < sizeof OPERATORS / sizeof *OPERATORS; i++)
            status = ((Status * (*)(void *, const Operator *)) api[ADD_OPERATOR])(domain, &OPERATORS[i]);
    }
    if (api && !status)
        status = ((Status * (*)(void *, void *)) api[ADD_DOMAIN])(options, domain);
    return status; /* without such an API there are no operators, and no session that asks for one opens */
}

static PyObject *set_watcher(PyObject *Py_UNUSED(module), PyObject *given)
{
    PyObject *former = watcher;
    watcher = Py_NewRef(given);
    Py_XDECREF(former);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"set_watcher", set_watcher, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_ort_kernels", .m_methods = methods};

PyMODINIT_FUNC PyInit__ort_kernels(void) { return PyModuleDef_Init(&module); }
