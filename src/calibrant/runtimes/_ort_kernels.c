/* A Q/DQ pair on an activation as one operator of ONNX Runtime's: one pass over the values, in place where nobody
   else reads them. Two operators with an integer tensor between them take about three times as long.

   ONNX Runtime loads this file a second time, as a library of operators, and calls RegisterCustomOps. Its C API is a
   table of functions that only ever grows at its end: places and types below are those of version 18, the first that
   lets an operator work in place, and the runtime says whether it still has them. What the operator computes is
   QuantizeLinear and DequantizeLinear to the bit, which are what stands in where this file was not compiled. */

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

/* One pair: real value = scale * integer, and the integers' limits, all three less the zero point. */
typedef struct {
    Api api;
    float scale, low, high;
} Pair;

static Api api_of_inference; /* infer_shape is not told; the same in a whole process */

static Status *float_attribute(Api api, const void *node, const char *name, float *found)
{
    return ((Status * (*)(const void *, const char *, float *)) api[FLOAT_ATTRIBUTE])(node, name, found);
}

static Status *failed(Api api, const char *words)
{
    return ((Status * (*)(int, const char *)) api[CREATE_STATUS])(1, words);
}

static Status *create(const Operator *kind, Api api, const void *node, void **made)
{
    (void)kind;
    Pair *pair = malloc(sizeof *pair);
    if (!pair)
        return failed(api, "out of memory");
    pair->api = api;
    Status *status = float_attribute(api, node, "scale", &pair->scale);
    if (!status)
        status = float_attribute(api, node, "low", &pair->low);
    if (!status)
        status = float_attribute(api, node, "high", &pair->high);
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

static Status *shape_of(Api api, const Value *value, int64_t *dimensions, size_t *rank, size_t *size)
{
    Shape *shape;
    Status *status = ((Status * (*)(const Value *, Shape **)) api[SHAPE_OF])(value, &shape);
    if (status)
        return status;
    status = ((Status * (*)(const Shape *, size_t *)) api[RANK_OF])(shape, rank);
    if (!status && *rank > MOST_DIMENSIONS)
        status = failed(api, "too many dimensions");
    if (!status)
        status = ((Status * (*)(const Shape *, int64_t *, size_t)) api[DIMENSIONS_OF])(shape, dimensions, *rank);
    if (!status)
        status = ((Status * (*)(const Shape *, size_t *)) api[SIZE_OF])(shape, size);
    ((void (*)(Shape *))api[RELEASE_SHAPE])(shape);
    return status;
}

static Status *data_of(Api api, const Value *value, float **data)
{
    return ((Status * (*)(const Value *, void **)) api[DATA_OF])(value, (void **)data);
}

static Status *compute(void *made, void *context)
{
    const Pair *pair = made;
    Api api = pair->api;
    const Value *input;
    Value *output;
    float *values, *results;
    int64_t dimensions[MOST_DIMENSIONS];
    size_t rank, size;
    Status *status = ((Status * (*)(const void *, size_t, const Value **)) api[INPUT_OF])(context, 0, &input);
    if (!status)
        status = shape_of(api, input, dimensions, &rank, &size);
    if (!status)
        status = ((Status * (*)(void *, size_t, const int64_t *, size_t, Value **)) api[OUTPUT_OF])(
            context, 0, dimensions, rank, &output);
    if (!status)
        status = data_of(api, input, &values);
    if (!status)
        status = data_of(api, output, &results);
    if (!status)
        quantize_dequantize(values, results, size, pair->scale, pair->low, pair->high);
    return status;
}

/* The output's shape is the input's: what it does not know, the runtime does not compute in place. */
static Status *infer_shape(const Operator *kind, void *context)
{
    (void)kind;
    Api api = api_of_inference;
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

static const char *name(const Operator *kind) { return (void)kind, "QuantizeDequantize"; }

static const char *provider(const Operator *kind) { return (void)kind, NULL; /* the CPU's */ }

static size_t one(const Operator *kind) { return (void)kind, 1; }

static int first(const Operator *kind) { return (void)kind, 1; }

static int last(const Operator *kind) { return (void)kind, INT32_MAX; }

static int type(const Operator *kind, size_t index) { return (void)kind, (void)index, FLOAT; }

static int none(const Operator *kind, size_t index) { return (void)kind, (void)index, REQUIRED; }

static const Operator QUANTIZE_DEQUANTIZE = {
    .version = API_VERSION,
    .name = name,
    .provider = provider,
    .input_type = type,
    .inputs = one,
    .output_type = type,
    .outputs = one,
    .destroy = free,
    .input_kind = none,
    .output_kind = none,
    .input_memory = none,
    .fewest_inputs = first,
    .inputs_are_alike = first,
    .fewest_outputs = first,
    .outputs_are_alike = first,
    .create = create,
    .compute = compute,
    .infer_shape = infer_shape,
    .first_version = first,
    .last_version = last,
    .in_place = in_place,
    .release_in_place = release_in_place,
};

typedef struct {
    Api (*version)(uint32_t);
} Base;

/* What ONNX Runtime calls for a session's options, holding the GIL, when it is told of a library of operators. */
EXPORTED Status *RegisterCustomOps(void *options, const Base *runtime)
{
    static void *domain; /* one for all sessions, and never released */
    Api api = api_of_inference = runtime->version(API_VERSION);
    Status *status = NULL;
    if (api && !domain) {
        status = ((Status * (*)(const char *, void **)) api[CREATE_DOMAIN])("calibrant", &domain);
        if (!status)
            status = ((Status * (*)(void *, const Operator *)) api[ADD_OPERATOR])(domain, &QUANTIZE_DEQUANTIZE);
    }
    if (api && !status)
        status = ((Status * (*)(void *, void *)) api[ADD_DOMAIN])(options, domain);
    return status; /* without such an API there are no operators, and no session that asks for one opens */
}

static PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_ort_kernels"};

PyMODINIT_FUNC PyInit__ort_kernels(void) { return PyModuleDef_Init(&module); }
