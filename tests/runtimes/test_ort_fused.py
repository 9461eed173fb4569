"""When ONNX Runtime fuses pairs into integer operators, and how it is kept from saturating."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from test_ort_qdq import quantized_network

from calibrant.core.schemes import SCHEME_PROPERTY
from calibrant.runtimes import ort_graph
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.runtimes.ort_graph import scheme_of, session_options

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
    monkeypatch.setattr(ort_graph, "processor_flags", lambda: frozenset({"avx2"}))
    assert session_options(fused=True).get_session_config_entry(PRECISE) == "1"
    monkeypatch.setattr(ort_graph, "processor_flags", lambda: frozenset({"avx2", "avx_vnni"}))
    with pytest.raises(RuntimeError):
        session_options(fused=True).get_session_config_entry(PRECISE)


def test_pairs_of_other_targets_are_run_as_written() -> None:
    assert session_options().get_session_config_entry(UNFUSED) == "1"
    with pytest.raises(RuntimeError):
        session_options(fused=True).get_session_config_entry(UNFUSED)
