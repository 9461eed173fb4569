"""A TensorRT calibration becomes an explicit Q/DQ model: bit for bit, and what does not fit is told."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core import schemes
from calibrant.core.errors import DataError, ModelError, OutputError, SettingsError
from calibrant.core.types import PerChannel, PerTensor, QuantSpec, Scheme
from calibrant.studies.migration import Migration, migrate
from calibrant.targets.tensorrt.cache import TensorRTCache, dumps
from calibrant.targets.tensorrt.cache_files import read_cache

# Conv a, Relu, MaxPool, Conv b beside a Sigmoid branch, joined and read by Conv c.
QUANTIZED = ("x", "pooled", "joined")
SCALES = {"x": 0.01, "a": 0.2, "hue": 0.1, "pooled": 0.1, "b": 0.05, "bright": 0.0625, "joined": 0.07}


def write_model(path: Path, weight: float = 1.0) -> Path:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "a_w"], ["a"], name="conv_a"),
        helper.make_node("Relu", ["a"], ["hue"], name="relu"),
        helper.make_node("MaxPool", ["hue"], ["pooled"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pooled", "b_w"], ["b"], name="conv_b"),
        helper.make_node("Sigmoid", ["b"], ["bright"], name="sigmoid"),
        helper.make_node("Concat", ["bright", "pooled"], ["joined"], name="join", axis=1),
        helper.make_node("Conv", ["joined", "c_w"], ["y"], name="conv_c"),
    ]
    weights = {"a_w": (4, 3, 1, 1), "b_w": (4, 4, 1, 1), "c_w": (2, 8, 1, 1)}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 4, 4])],
        [
            numpy_helper.from_array((weight * rng.normal(size=shape)).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7), path)
    return path


def write_cache(path: Path, scales: Mapping[str, float] = SCALES) -> Path:
    path.write_text(dumps(TensorRTCache("TRT-8501-EntropyCalibration2", scales)), encoding="utf-8")
    return path


def without(*tensors: str) -> dict[str, float]:
    return {tensor: scale for tensor, scale in SCALES.items() if tensor not in tensors}


def migrated(folder: Path, scales: Mapping[str, float] = SCALES, **settings: Any) -> Migration:
    model, cache = write_model(folder / "m.onnx"), write_cache(folder / "m.cache", scales)
    return migrate(model, cache, folder / "out" / "m.qdq.onnx", **settings)


def activation_scales(path: Path) -> dict[str, tuple[bytes, int]]:
    """Of every quantized activation the scale's bits and the zero point."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {
        node.input[0]: (constants[node.input[1]].tobytes(), int(constants[node.input[2]]))
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    }


def bits(scale: float) -> bytes:
    return np.float32(scale).tobytes()


def float_layers(path: Path) -> set[str]:
    produced = {name: node.op_type for node in onnx.load(path).graph.node for name in node.output}
    return {
        node.name
        for node in onnx.load(path).graph.node
        if node.op_type == "Conv" and produced.get(node.input[0]) != "DequantizeLinear"
    }


def outputs(path: Path) -> NDArray[np.float32]:
    """What ONNX Runtime computes when it runs the graph literally."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    values = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    found: NDArray[np.float32] = ort.InferenceSession(str(path), options).run(None, {"x": values})[0]
    return found


positive_floats = st.floats(
    0, float(np.finfo(np.float32).max), exclude_min=True, width=32, allow_subnormal=True
)


@settings(max_examples=25)
@given(st.fixed_dictionaries(dict.fromkeys(QUANTIZED, positive_floats)))
def test_the_scales_arrive_bit_for_bit(scales: dict[str, float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = migrated(Path(folder), scales, check="rules")
        assert activation_scales(Path(result.out)) == {
            tensor: (bits(scale), 0) for tensor, scale in scales.items()
        }
        assert result.check.passed, result.check.findings


def test_what_is_reported(tmp_path: Path) -> None:
    scales = {**SCALES, "(Unnamed Layer* 7) [Shuffle]_output": 0.5}
    result = migrated(tmp_path, scales)
    assert (result.activations, result.weights) == (3, 3)
    assert result.origin == "entropy2, TensorRT 8.5.1"
    assert result.unknown == ("(Unnamed Layer* 7) [Shuffle]_output",)
    assert result.unread == ("a", "hue", "b", "bright")
    assert result.inherited == {}
    assert (result.zero_scales, result.missing, result.left_float) == ((), (), ())
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["unread"] == ["a", "hue", "b", "bright"]
    assert any("tensors of the cache that no quantized layer reads: 4, e.g. a, hue, b" in line
               for line in result.lines())  # fmt: skip
    assert outputs(Path(result.out)).shape == (1, 2, 4, 4)


def test_a_pooling_output_without_a_scale_takes_its_inputs(tmp_path: Path) -> None:
    result = migrated(tmp_path, without("pooled"))
    assert result.inherited == {"pooled": ("hue",)}
    assert activation_scales(Path(result.out))["pooled"] == (bits(0.1), 0)


def test_a_concat_without_a_scale_takes_the_largest_of_its_parts(tmp_path: Path) -> None:
    result = migrated(tmp_path, without("joined", "pooled"))
    assert result.inherited == {"pooled": ("hue",), "joined": ("bright", "pooled")}
    assert activation_scales(Path(result.out))["joined"] == (bits(0.1), 0)


def test_a_scale_of_zero_becomes_one_and_is_told(tmp_path: Path) -> None:
    result = migrated(tmp_path, {**SCALES, "x": 0.0, "a": 0.0, "pooled": -0.0}, check="rules")
    assert result.zero_scales == ("x", "pooled")
    assert activation_scales(Path(result.out))["x"] == (bits(1.0), 0)
    assert any("scales of 0 replaced by 1: 2, e.g. x, pooled" in line for line in result.lines())
    assert result.check.passed


class TestMissingScales:
    def test_are_refused_with_the_ways_out(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError, match=r"1 of 3 .* have no scale in m\.cache, e\.g\. 'x'.*--allow-missing"
        ):
            migrated(tmp_path, without("x"))
        assert not (tmp_path / "out").exists()

    def test_leave_their_layers_float_if_the_user_says_so(self, tmp_path: Path) -> None:
        result = migrated(tmp_path, without("x"), allow_missing=True, check="rules")
        assert (result.missing, result.left_float) == (("x",), ("conv_a",))
        assert float_layers(Path(result.out)) == {"conv_a"}
        assert (result.activations, result.weights) == (2, 2)
        assert result.check.passed, result.check.findings

    def test_do_not_matter_where_the_layer_is_kept_float_anyway(self, tmp_path: Path) -> None:
        result = migrated(tmp_path, without("x"), exclude=["conv_a"])
        assert result.missing == ()
        assert float_layers(Path(result.out)) == {"conv_a"}

    @pytest.mark.parametrize("allow_missing", [False, True])
    def test_of_all_tensors_mean_another_model(self, tmp_path: Path, allow_missing: bool) -> None:
        with pytest.raises(DataError, match=r"no quantized tensor of m\.onnx has a scale .* was calibrated"):
            migrated(tmp_path, {"other": 0.5}, allow_missing=allow_missing)


def test_unsigned_integers_hold_the_same_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unsigned = Scheme(
        "unsigned",
        QuantSpec("uint8", symmetric=False, granularity=PerTensor()),
        QuantSpec("int8", granularity=PerChannel(0)),
        {"Conv": 0},
    )
    monkeypatch.setitem(schemes.SCHEMES, "unsigned", unsigned)
    signed = Path(migrated(tmp_path).out).rename(tmp_path / "signed.onnx")
    result = migrated(tmp_path, scheme="unsigned")
    assert activation_scales(Path(result.out))["x"] == (bits(0.01), 128)
    np.testing.assert_array_equal(outputs(Path(result.out)), outputs(signed))
    assert result.check.name == "none"


def test_other_ways_to_store_activations_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four_bits = Scheme("four", QuantSpec("int4"), QuantSpec("int4"), {"Conv": 0}, min_opset=21)
    monkeypatch.setitem(schemes.SCHEMES, "four", four_bits)
    with pytest.raises(SettingsError, match="scheme four stores activations otherwise"):
        migrated(tmp_path, scheme="four")


@pytest.mark.parametrize("name", ["m.onnx", "m.cache"])
def test_the_given_files_are_not_overwritten(tmp_path: Path, name: str) -> None:
    model, cache = write_model(tmp_path / "m.onnx"), write_cache(tmp_path / "m.cache")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(SettingsError, match=f"would overwrite {name}"):
        migrate(model, cache, tmp_path / "." / name)
    assert (tmp_path / name).read_bytes() == before


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    model, cache = write_model(tmp_path / "m.onnx"), write_cache(tmp_path / "m.cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="no such file"):
        migrate(tmp_path / "absent.onnx", cache, tmp_path / "out.onnx")
    with pytest.raises(DataError, match="cannot read"):
        migrate(model, tmp_path / "absent.cache", tmp_path / "out.onnx")
    with pytest.raises(OutputError):
        migrate(model, cache, tmp_path / "file" / "out.onnx")
    with pytest.raises(SettingsError, match="no check is called 'magic'"):
        migrate(model, cache, tmp_path / "out.onnx", check="magic")
    with pytest.raises(SettingsError, match=r"nothing in m\.onnx is quantized"):
        migrate(model, cache, tmp_path / "out.onnx", exclude=["conv_*"])
    result = migrate(model, cache, tmp_path / "once.onnx")
    with pytest.raises(ModelError, match="quantized already"):
        migrate(result.out, cache, tmp_path / "twice.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("cache_name", [
    "fastestdet_352.entropy", "fastestdet_352.legacy",
    "yolo_fastest_1.1_xl_320.entropy2", "yolox_nano_416.entropy2",
])  # fmt: skip
def test_tensorrts_own_caches_arrive_bit_for_bit(shared: Path, tmp_path: Path, cache_name: str) -> None:
    cache = shared / "tensorrt" / "caches-8.5.1.7" / f"{cache_name}.cache"
    model = shared / "models" / f"{cache_name.rpartition('.')[0]}.onnx"
    result = migrate(model, cache, tmp_path / "m.qdq.onnx", check="rules")
    assert result.check.passed, result.check.findings
    scales = read_cache(cache).scales
    arrived = activation_scales(Path(result.out))
    assert len(arrived) == result.activations
    assert {tensor for tensor in arrived if tensor not in scales} == result.inherited.keys()
    assert {tensor: pair for tensor, pair in arrived.items() if tensor in scales} == {
        tensor: (bits(scales[tensor]), 0) for tensor in arrived if tensor in scales
    }
    assert ort.InferenceSession(str(result.out)).get_outputs()
