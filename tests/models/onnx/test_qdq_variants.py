"""Models of one plan that are made from one template are those that are made one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_graphs import load_small_detector

import calibrant.models.onnx.model as model_module
from calibrant.core.errors import SettingsError
from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import SCHEMES, TENSORRT
from calibrant.core.types import Encoding, Range, Scheme
from calibrant.models.onnx.model import save_model
from calibrant.models.onnx.points import QuantPlan, quant_plan
from calibrant.models.onnx.qdq import qdq_to_deploy
from calibrant.models.onnx.qdq_variants import QdqVariants

Ends = list[tuple[float, float]]


def encodings_for(plan: QuantPlan, scheme: Scheme, ends: Ends) -> dict[str, Encoding]:
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
    plan = quant_plan(model, scheme)
    models = QdqVariants(model, plan, scheme)
    savers = [models.saver(encodings_for(plan, scheme, ends)) for ends in chosen]
    for ends, save in zip(chosen, savers, strict=True):
        save(tmp_path / "variant.onnx")
        alone = qdq_to_deploy(model, plan, encodings_for(plan, scheme, ends), scheme)
        save_model(alone, tmp_path / "alone.onnx")
        assert (tmp_path / "variant.onnx").read_bytes() == (tmp_path / "alone.onnx").read_bytes()


def test_what_is_refused_spoils_nothing(tmp_path: Path) -> None:
    model = load_small_detector(tmp_path)
    plan = quant_plan(model, TENSORRT)
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
    plan = quant_plan(model, TENSORRT)
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
