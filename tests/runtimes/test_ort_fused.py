"""When ONNX Runtime fuses pairs into integer operators, and how it is kept from saturating."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from test_ort_qdq import quantized_network

from calibrant.core.schemes import SCHEME_PROPERTY
from calibrant.runtimes import ort_files
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.runtimes.ort_files import scheme_of, session_options

PRECISE = "session.x64quantprecision"
UNFUSED = "session.disable_quant_qdq"
IMAGE = np.random.default_rng(3).normal(size=(1, 3, 12, 10)).astype(np.float32)


def network_of(scheme: str, path: Path) -> Path:
    model = onnx.load(quantized_network(path))
    model.metadata_props.add(key=SCHEME_PROPERTY, value=scheme)
    onnx.save(model, path)
    return path


def final(runtime: OnnxRuntime, path: Path) -> np.ndarray:
    with runtime.open(path) as session:
        session.run({"image": IMAGE})
        return np.asarray(session.run({"image": IMAGE})["final"])


@pytest.mark.parametrize(("scheme", "fuses"), [("onnxruntime", True), ("tensorrt", False)])
def test_only_its_own_schemes_models_are_fused(scheme: str, fuses: bool, tmp_path: Path) -> None:
    path = network_of(scheme, tmp_path / "m.onnx")
    expected, other = ("fused", "exact") if fuses else ("exact", "fused")
    found = final(OnnxRuntime(), path)
    assert np.array_equal(found, final(OnnxRuntime(qdq=expected), path))
    assert not np.array_equal(found, final(OnnxRuntime(qdq=other), path))


def test_the_scheme_is_read_from_the_metadata_only(tmp_path: Path) -> None:
    assert scheme_of(network_of("openvino", tmp_path / "m.onnx")) == "openvino"
    assert scheme_of(quantized_network(tmp_path / "plain.onnx")) is None
    (tmp_path / "text.onnx").write_bytes(b"no model at all")
    assert scheme_of(tmp_path / "text.onnx") is None
    assert scheme_of(tmp_path / "missing.onnx") is None


def test_without_vnni_products_are_kept_from_saturating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(ort_files, "processor_flags", lambda: frozenset({"avx2"}))
    assert session_options(fused=True).get_session_config_entry(PRECISE) == "1"
    monkeypatch.setattr(ort_files, "processor_flags", lambda: frozenset({"avx2", "avx_vnni"}))
    with pytest.raises(RuntimeError):
        session_options(fused=True).get_session_config_entry(PRECISE)


def test_pairs_of_other_targets_are_run_as_written() -> None:
    assert session_options().get_session_config_entry(UNFUSED) == "1"
    with pytest.raises(RuntimeError):
        session_options(fused=True).get_session_config_entry(UNFUSED)


def test_weights_that_several_nodes_share_are_opened_without_vnni(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime 1.32 makes shared weights unsigned once for each node, and fails at the second."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(ort_files, "processor_flags", lambda: frozenset({"avx2"}))
    path = shared_weights(tmp_path / "shared.onnx")
    feeds = {"x": np.random.default_rng(5).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    with OnnxRuntime(qdq="fused").open(path) as fused, OnnxRuntime(qdq="exact").open(path) as exact:
        difference = np.abs(fused.run(feeds)["z"] - exact.run(feeds)["z"])
    assert difference.max() <= 3.001 * 0.05


def shared_weights(path: Path) -> Path:
    """Two convolutions with the same stored integers, between uint8 pairs."""
    rng = np.random.default_rng(4)
    constants = {
        "scale": np.float32(0.05), "zero": np.uint8(128), "weight_scale": np.full(3, 0.02, np.float32),
        "weight_zero": np.zeros(3, np.int8), "weight": rng.integers(-127, 128, (3, 3, 1, 1)).astype(np.int8),
    }  # fmt: skip
    nodes = [helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"], axis=0)]
    for source, middle in (("x", "y"), ("y", "z")):
        pair = [f"{source}_q", "scale", "zero"]
        nodes += [
            helper.make_node("QuantizeLinear", [source, "scale", "zero"], pair[:1]),
            helper.make_node("DequantizeLinear", pair, [f"{source}_d"]),
            helper.make_node("Conv", [f"{source}_d", "w"], [f"{middle}_f"], name=f"conv_{middle}"),
            helper.make_node("QuantizeLinear", [f"{middle}_f", "scale", "zero"], [f"{middle}_r"]),
            helper.make_node("DequantizeLinear", [f"{middle}_r", "scale", "zero"], [middle]),
        ]
    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        nodes,
        "shared",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path
