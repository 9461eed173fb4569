"""Targets as data: what each one quantizes, and how. A new target is a new row."""

from __future__ import annotations

from calibrant.core.errors import SettingsError
from calibrant.core.types import PerChannel, QuantSpec, Scheme

SCHEME_PROPERTY = "calibrant.scheme"
"""The metadata of a Q/DQ model that names its scheme: a runtime may run its own scheme's models fused."""

# The axis is the operator's own (weight_axis); the spec's axis is replaced by it.
_WEIGHTS = QuantSpec("int8", symmetric=True, granularity=PerChannel(0), narrow=True)

TENSORRT = Scheme(
    name="tensorrt",
    activations=QuantSpec("int8", symmetric=True),
    weights=_WEIGHTS,
    weight_axis={"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": -1},
    ties_pooling=True,
)

# What TensorRT runs in INT8 by itself, from a calibration cache, between two convolutions: read off engines
# of 8.5.1.7 (docs/results-tensorrt.md). Absent, and float, are Reshape, Transpose, Gather and Softmax.
TENSORRT_IMPLICIT = Scheme(
    name="tensorrt-implicit",
    activations=QuantSpec("int8", symmetric=True),
    weights=_WEIGHTS,
    weight_axis=TENSORRT.weight_axis,
    joined_ops=frozenset({
        "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Div", "Elu", "Exp",
        "GlobalAveragePool", "HardSigmoid", "HardSwish", "LeakyRelu", "MaxPool", "Mul", "PRelu", "Pad", "Pow",
        "Relu", "Resize", "Sigmoid", "Slice", "Softplus", "Split", "Sub", "Tanh", "Upsample",
    }),
    ties_pooling=True,
    rounds_fused_layers=True,
)  # fmt: skip

# What ONNX Runtime's CPU provider runs on integers from end to end (QLinear operators): docs/runtimes.md.
_MOVED_BY_ONNXRUNTIME = frozenset({
    "Expand", "Flatten", "Gather", "MaxPool", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
})  # fmt: skip
ONNXRUNTIME = Scheme(
    name="onnxruntime",
    activations=QuantSpec("uint8", symmetric=False),
    weights=_WEIGHTS,
    weight_axis={"Conv": 0, "Gemm": 0, "MatMul": -1},
    joined_ops=_MOVED_BY_ONNXRUNTIME
    | {"Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Sigmoid"},
    moving_ops=_MOVED_BY_ONNXRUNTIME,
    absorbed_ops=frozenset({"Relu", "Clip"}),
    quantizes_outputs=True,
    quantizes_biases=True,
    stores_integers=True,
)

# Where the CPU plugin's low-precision transformations start. Unsigned activations: signed ones are computed
# wrongly behind a Concat (docs/runtimes.md).
OPENVINO = Scheme(
    name="openvino",
    activations=QuantSpec("uint8", symmetric=False),
    weights=_WEIGHTS,
    weight_axis={"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": -1},
    # Both sides of a residual sum; what else lies between convolutions the plugin computes while it rounds.
    joined_ops=frozenset({"Add"}),
    stores_integers=True,
)

SCHEMES = {scheme.name: scheme for scheme in (TENSORRT, TENSORRT_IMPLICIT, ONNXRUNTIME, OPENVINO)}


QDQ, CACHE = "qdq", "cache"
"""What is deployed: a Q/DQ model, or the float model with a calibration cache (TensorRT up to 10)."""


def scheme_to_deploy(scheme: str, deploy: str | None) -> str:
    """The scheme that predicts what is deployed; ``deploy`` None: the scheme as it is named.

    Raises SettingsError where a scheme's models are not deployed that way.
    """
    if deploy not in (None, QDQ, CACHE):
        raise SettingsError(f"{deploy!r} is no way to deploy; use {QDQ} or {CACHE}")
    if deploy is None or scheme_named(scheme).rounds_fused_layers == (deploy == CACHE):
        return scheme
    if deploy == QDQ:
        raise SettingsError(f"scheme {scheme} predicts caches, not Q/DQ models; use --scheme {TENSORRT.name}")
    if scheme != TENSORRT.name:
        raise SettingsError(f"scheme {scheme} has no caches to deploy; use --scheme {TENSORRT.name}")
    return TENSORRT_IMPLICIT.name


def scheme_named(name: str) -> Scheme:
    """Look a scheme up. Raises SettingsError with the known names."""
    try:
        return SCHEMES[name]
    except KeyError:
        raise SettingsError(f"no scheme is called {name!r}; known: {', '.join(sorted(SCHEMES))}") from None
