"""Models of one plan that are made from one template are those that are made one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_graphs import load_small_detector

import calibrant.models.onnx.model as model_module
from calibrant.core.errors import SettingsError
from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import SCHEMES, TENSORRT
from calibrant.core.types import Encoding, Range, Scheme
from calibrant.models.onnx.model import Model, save_model, signature_of
from calibrant.models.onnx.points import QuantPoints, quant_points
from calibrant.models.onnx.qdq import qdq_to_deploy
from calibrant.models.onnx.qdq_variants import QdqVariants

Ends = list[tuple[float, float]]


def encodings_for(plan: QuantPoints, scheme: Scheme, ends: Ends) -> dict[str, Encoding]:
    tensors = dict.fromkeys(point.encoded_as for point in plan.activations)
    return {
        tensor: encoding_of(Range(*ends[index % len(ends)]), scheme.activations)
        for index, tensor in enumerate(tensors)
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(list(SCHEMES.values())),
    st.lists(st.lists(st.tuples(st.floats(-50, 0), st.floats(0, 50)), min_size=1), min_size=1, max_size=4),
)
def test_each_file_is_the_one_made_alone(tmp_path: Path, scheme: Scheme, chosen: list[Ends]) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, scheme)
    models = QdqVariants(model, plan, scheme)
    savers = [models.saver(encodings_for(plan, scheme, ends)) for ends in chosen]
    for ends, save in zip(chosen, savers, strict=True):
        save(tmp_path / "variant.onnx")
        alone = qdq_to_deploy(model, plan, encodings_for(plan, scheme, ends), scheme)
        save_model(alone, tmp_path / "alone.onnx")
        assert (tmp_path / "variant.onnx").read_bytes() == (tmp_path / "alone.onnx").read_bytes()


def test_what_is_refused_spoils_nothing(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    models = QdqVariants(model, plan, TENSORRT)
    some, others = (encodings_for(plan, TENSORRT, [(-end, end)]) for end in (1.0, 2.0))
    models.saver(some)(tmp_path / "some.onnx")
    with pytest.raises(SettingsError, match="have no encoding"):
        models.saver({})
    models.saver(others)
    models.saver(some)(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "some.onnx").read_bytes()


def test_weights_beyond_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_points(model, TENSORRT)
    monkeypatch.setattr(model_module, "_LARGEST_INLINE", 100)
    models = QdqVariants(model, plan, TENSORRT)
    folders = [tmp_path / "variant", tmp_path / "alone"]
    for folder in folders:
        folder.mkdir()
    for end in (1.0, 2.0):
        encodings = encodings_for(plan, TENSORRT, [(-end, end)])
        models.saver(encodings)(folders[0] / "m.onnx")
        save_model(qdq_to_deploy(model, plan, encodings, TENSORRT), folders[1] / "m.onnx")
        for name in ("m.onnx", "m.onnx.data"):
            variant, alone = ((folder / name).read_bytes() for folder in folders)
            assert variant == alone


def test_large_weights_are_written_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_small_detector(tmp_path)
    monkeypatch.setattr("calibrant.models.onnx.shared_weights.SHARED_FROM", 1)
    monkeypatch.setattr("calibrant.models.onnx.shared_weights._EACH_FROM", 5)  # a scale has 4 bytes
    feeds = _feeds(model)
    for scheme in SCHEMES.values():
        plan = quant_points(model, scheme)
        folder = tmp_path / scheme.name
        folder.mkdir()
        models = QdqVariants(model, plan, scheme)
        for end in (1.0, 2.0):
            encodings = encodings_for(plan, scheme, [(-end, end)])
            weights = models.saver(encodings)(folder / f"{end}.onnx")
            assert weights is not None
            assert weights.is_file()
            alone = qdq_to_deploy(model, plan, encodings, scheme)
            ir.save(alone, folder / "alone.onnx")
            assert _outputs(folder / f"{end}.onnx", feeds) == _outputs(folder / "alone.onnx", feeds)
        if not scheme.quantizes_biases:
            assert len(list(folder.glob("weights.*.data"))) == 1


def _feeds(model: Model) -> dict[str, np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    shapes = {info.name: [size or 1 for size in info.shape] for info in signature_of(model).inputs}
    return {name: generator.random(shape).astype(np.float32) for name, shape in shapes.items()}


def _outputs(path: Path, feeds: dict[str, np.ndarray[Any, Any]]) -> list[bytes]:
    return [values.tobytes() for values in ort.InferenceSession(path).run(None, feeds)]
