from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError, SettingsError
from calibrant.core.format_names import EXAMPLES, KV_CACHES, format_named
from calibrant.core.formats import (
    BF16,
    E2M1,
    E4M3,
    E4M3_SCALE,
    E8M0,
    INT3,
    INT4,
    INT8,
    INT32,
    UINT4,
    UINT8,
    Format,
    Grid,
    PerBlock,
    PerChannel,
    PerTensor,
    PerTile,
    PerToken,
    decode,
    encode,
    grid_of,
    scale_shape,
    spread,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "compressed-tensors-formats.json").read_text())
WEIGHTS = [format_named(name).weights for name in EXAMPLES]


@st.composite
def tensors(draw: st.DrawFn) -> NDArray[np.float32]:
    """(4, 128): heavy tails, outliers, blocks of zeros and of values of one sign, at any magnitude."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.standard_normal((4, 128)) ** draw(st.sampled_from([1, 3]))
    values[:, :32] *= draw(st.sampled_from([0.0, 1.0, 100.0]))
    values[:, 32:64] = np.abs(values[:, 32:64])
    return (values * 10.0 ** draw(st.integers(-2, 1))).astype(np.float32)


def golden_weights() -> NDArray[np.float32]:
    """The weights of the golden file, made as it made them."""
    rng = np.random.default_rng(GOLDEN["seed"])
    weights = rng.standard_normal((4, 256)).astype(np.float32)
    weights = weights * np.exp(rng.standard_normal((4, 1))).astype(np.float32)
    weights[3, 7] = 9.0
    weights[2] += 1.5
    return (np.round(weights.astype(np.float64) * 4096) / 4096).astype(np.float32)


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_numbers_are_those_of_compressed_tensors(name: str) -> None:
    expected, format_ = GOLDEN["cases"][name], format_named(name).weights
    assert format_ is not None
    encoded = encode(golden_weights(), format_)
    grid = encoded.grid
    assert grid.scale.reshape(-1).tolist() == [float.fromhex(each) for each in expected["scale"]]
    if expected["tensor_scale"] is not None:
        assert grid.tensor_scale == float.fromhex(expected["tensor_scale"])
    if expected["zero_point"] is not None:
        assert grid.offset is not None
        assert grid.offset.reshape(-1).tolist() == expected["zero_point"]
    rounded = format_.element.values(encoded.codes)
    assert rounded[::2].reshape(-1).tolist() == expected["rounded"]
    restored = decode(encoded)[::2].reshape(-1)[::8]
    assert restored.tolist() == [float.fromhex(each) for each in expected["restored"]]


ONNX_TYPES = {
    INT8: onnx.TensorProto.INT8,
    UINT8: onnx.TensorProto.UINT8,
    INT4: onnx.TensorProto.INT4,
    UINT4: onnx.TensorProto.UINT4,
    E4M3: onnx.TensorProto.FLOAT8E4M3FN,
    E2M1: onnx.TensorProto.FLOAT4E2M1,
}


@pytest.mark.parametrize("element", ONNX_TYPES, ids=lambda element: element.name)
@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0), PerBlock(1, 16)], ids=str)
def test_onnx_reference_quantizes_the_same(element: Any, granularity: Any) -> None:
    unsigned = element in (UINT8, UINT4)
    format_ = Format(element, granularity, symmetric=not unsigned)
    weights = golden_weights()
    encoded = encode(weights, format_)
    scale = encoded.grid.scale.reshape(-1) if isinstance(granularity, PerChannel) else encoded.grid.scale
    back = _by_onnx(weights, scale, encoded.grid, element, granularity)
    np.testing.assert_array_equal(decode(encoded), back)


def _by_onnx(
    weights: NDArray[np.float32], scale: NDArray[np.float32], grid: Grid, element: Any, granularity: Any
) -> Any:
    kind = ONNX_TYPES[element]
    zero = np.zeros(scale.shape) if grid.offset is None else grid.offset.reshape(scale.shape)
    made = onnx.helper.make_tensor("zero", kind, scale.shape, zero.astype(np.float32).reshape(-1).tolist())
    attributes: Any = {"axis": 1, "block_size": 16} if isinstance(granularity, PerBlock) else {"axis": 0}
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], **attributes),
        onnx.helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], **attributes),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "pair",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, weights.shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, weights.shape)],
        [onnx.numpy_helper.from_array(scale, "scale"), made],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)])
    outputs: Any = onnx.reference.ReferenceEvaluator(model).run(None, {"x": weights})
    return outputs[0]


@pytest.mark.parametrize("format_", WEIGHTS, ids=EXAMPLES)
@settings(max_examples=10)
@given(values=tensors())
def test_values_are_off_by_half_a_step_at_most(format_: Format, values: NDArray[np.float32]) -> None:
    encoded = encode(values, format_)
    error = np.abs(decode(encoded).astype(np.float64) - values)
    step = spread(encoded.grid.step, values.shape, format_.granularity).astype(np.float64)
    if format_.element.is_integer:
        # Rounding the scale to bf16 or f16, or the zero point, moves the ends of the range; with 16 levels by
        # 16 / 512 of a step at most, with 256 by half a step.
        assert (error <= step * (1.0 + 1e-5) + 1e-30).all()
    else:
        # Relative to the value, half the distance of neighbours: their mantissa has 1 or 3 bits. Subnormals
        # have equal steps, and a scale rounded down saturates.
        relative = 2.0 ** -(format_.element.mantissa or 0) / 2
        saturated = np.abs(values) > format_.highest * step
        subnormal = step * 2.0**format_.element.least_exponent * relative
        assert (error <= np.abs(values) * relative * 1.0001 + subnormal * 1.0001)[~saturated].all()


@pytest.mark.parametrize("format_", WEIGHTS, ids=EXAMPLES)
@settings(max_examples=10)
@given(values=tensors())
def test_what_was_stored_is_stored_without_loss(format_: Format, values: NDArray[np.float32]) -> None:
    first = encode(values, format_)
    again = encode(decode(first), format_, first.grid)
    np.testing.assert_array_equal(decode(again), decode(first))


@pytest.mark.parametrize("format_", WEIGHTS, ids=EXAMPLES)
def test_zeros_are_stored_exactly(format_: Format) -> None:
    values = np.zeros((4, 128), np.float32)
    np.testing.assert_array_equal(decode(encode(values, format_)), values)


@pytest.mark.parametrize("format_", WEIGHTS, ids=EXAMPLES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(format_: Format, bad: float) -> None:
    values = np.ones((4, 128), np.float32)
    grid = grid_of(values, format_)
    values[1, 3] = bad
    with pytest.raises(NumericsError, match="NaN or Inf"):
        encode(values, format_)
    with pytest.raises(NumericsError, match="NaN or Inf"):
        encode(values, format_, grid)


@pytest.mark.parametrize(
    ("shape", "granularity", "expected"),
    [
        ((4, 6), PerTensor(), ()),
        ((4, 6), PerChannel(0), (4, 1)),
        ((4, 6), PerChannel(-1), (1, 6)),
        ((4, 6), PerBlock(-1, 3), (4, 2)),
        ((4, 6), PerBlock(0, 2), (2, 6)),
        ((300, 130), PerTile(128, 128), (3, 2)),
        ((2, 5, 6), PerToken(), (2, 5, 1)),
    ],
    ids=str,
)
def test_scales_broadcast_over_what_shares_them(shape: Any, granularity: Any, expected: Any) -> None:
    values = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    grid = grid_of(values, Format(INT8, granularity, narrow=True))
    assert scale_shape(shape, granularity) == grid.scale.shape == expected
    steps = np.abs(values) / spread(grid.scale, shape, granularity)
    assert steps.max() <= INT8.highest * (1 + 1e-6)
    assert (steps > 126.9).sum() == grid.scale.size


@pytest.mark.parametrize("granularity", [PerBlock(1, 5), PerBlock(2, 2), PerChannel(-3)], ids=str)
def test_blocks_that_do_not_fit_are_refused(granularity: Any) -> None:
    with pytest.raises(SettingsError, match=r"do not divide axis 1 of shape \(4, 6\)|has no axis"):
        encode(np.ones((4, 6), np.float32), Format(INT4, granularity))
    with pytest.raises(SettingsError, match="has no tiles"):
        encode(np.ones(6, np.float32), Format(E4M3, PerTile(2, 2)))


def test_a_grid_of_another_format_or_shape_is_refused() -> None:
    grid = grid_of(np.ones((4, 6), np.float32), Format(INT4, PerBlock(1, 3)))
    with pytest.raises(SettingsError, match="encode with its own format"):
        encode(np.ones((4, 6), np.float32), Format(INT8), grid)
    with pytest.raises(SettingsError, match=r"need scales of shape \(4, 4\), not \(4, 2\)"):
        encode(np.ones((4, 12), np.float32), grid.format, grid)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"element": INT32}, "int32 is no format"),
        ({"element": UINT4}, "uint4 has no negative values"),
        ({"element": E4M3, "symmetric": False}, "e4m3 is symmetric by itself"),
        ({"element": INT4, "symmetric": False, "narrow": True}, "leave narrow=False"),
        ({"element": INT4, "symmetric": False, "minimum": True}, "goes with unsigned integers"),
        ({"element": INT4, "symmetric": False, "scale_type": E8M0}, "scales in e8m0 go with symmetric"),
        ({"element": E2M1, "tensor_scale": True}, "goes with block scales in e4m3"),
        ({"element": E2M1, "scale_type": E4M3_SCALE, "tensor_scale": True}, "goes with block scales"),
        ({"element": INT3, "dynamic": True}, "int3 is for weights only"),
    ],
    ids=str,
)
def test_what_cannot_be_stored_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Format(**changes)


# --- sizes ------------------------------------------------------------------------------------------

BITS = {
    "w4a16-g128": 4 + 16 / 128,
    "w4a16-g32": 4 + 16 / 32,
    "w4a16-g32-asym": 4 + 20 / 32,
    "w3a16-g128": 3 + 16 / 128,
    "w8a8": 8 + 32 / 1024,
    "fp8-static": 8 + 32 / (1024 * 256),
    "fp8-block": 8 + 32 / (128 * 128),
    "nvfp4": 4 + 8 / 16 + 32 / (1024 * 256),
    "mxfp4": 4 + 8 / 32,
    "q4_0": 4.5,
    "q4_1": 5.0,
    "q8_0": 8.5,
}


@pytest.mark.parametrize("name", BITS)
def test_bits_count_scales_and_zero_points(name: str) -> None:
    format_ = format_named(name).weights
    assert format_ is not None
    assert format_.bits_per_value((256, 1024)) == pytest.approx(BITS[name], abs=1e-12)


# --- names ------------------------------------------------------------------------------------------


def test_names_mean_formats() -> None:
    int4 = format_named(" W4A16-G32 ")
    assert int4.weights == Format(INT4, PerBlock(-1, 32), BF16)
    assert (int4.name, int4.activations) == ("w4a16-g32", None)
    assert format_named("w4a16").weights == format_named("w4a16-g128").weights
    asymmetric = format_named("w4a16-g32-asym").weights
    assert asymmetric == Format(INT4, PerBlock(-1, 32), BF16, symmetric=False)
    assert format_named("w4a16-channel").weights == Format(INT4, PerChannel(-2))
    assert format_named("w8a8").activations == Format(INT8, PerToken(), dynamic=True)
    assert format_named("w8a8-static").activations == Format(INT8)
    assert format_named("fp8").weights == Format(E4M3, PerChannel(-2))
    assert format_named("fp8-block").weights == Format(E4M3, PerTile(128, 128))
    assert KV_CACHES["fp8"] == Format(E4M3)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "w5a16",
        "w4a4",
        "int4",
        "w4a16-g0",
        "w4a16-g32-g64",
        "w4a16-g32-channel",
        "w4a16-x",
        "w4a16-static",
    ],
)
def test_names_that_mean_nothing_are_refused_with_an_example(name: str) -> None:
    with pytest.raises(SettingsError, match=r"w4a16-g|leave '-static' out"):
        format_named(name)


def test_every_example_is_a_name_and_none_is_twice() -> None:
    found = [dataclasses.astuple(format_named(name)) for name in EXAMPLES]
    assert all(len(each) == 4 for each in found)
    assert len(set(EXAMPLES)) == len(EXAMPLES)
