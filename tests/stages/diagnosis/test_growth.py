from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from small_net import small_net

from calibrant.core.metrics import Metric
from calibrant.core.quantize import encoding_of
from calibrant.core.schemes import TENSORRT
from calibrant.core.tasks import Task, sole
from calibrant.core.types import Range, Session
from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.points import quant_points
from calibrant.models.onnx.qdq import with_qdq
from calibrant.runtimes import runtime_named
from calibrant.stages.diagnosis.growth import noise_by_tensor, signal_and_noise
from calibrant.stages.diagnosis.subsets import only


@dataclass(frozen=True)
class Sample:
    id: str
    values: NDArray[np.float32]


class Driving(Task):
    name = "driving"
    metric = Metric("none")

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Sample]) -> list[Any]:
        return [sole(sessions).run({"x": sample.values}) for sample in samples]

    def interpret(self, raw: Any, sample: Any) -> Any:
        return raw

    def score(self, samples: Any, predictions: Any) -> Any:
        raise NotImplementedError

    def agreement(self, reference: Any, found: Any) -> float:
        raise NotImplementedError


def test_the_error_arises_where_a_layer_is_quantized_and_not_before(tmp_path: Path) -> None:
    model = small_net(tmp_path)
    points = only(quant_points(model, TENSORRT), "deep")
    encodings = {"gated": encoding_of(Range(-0.5, 0.5), TENSORRT.activations)}
    quantized = replace(model, ir=with_qdq(model, points, encodings, TENSORRT))
    random = np.random.default_rng(0)
    samples = [Sample(str(i), random.normal(0, 1, (1, 1, 4, 4)).astype(np.float32)) for i in range(3)]
    found = noise_by_tensor(
        model, quantized, ("stemmed", "deep", "y"), Driving(), runtime_named("onnxruntime"), samples, tmp_path
    )
    assert found["stemmed"][1] == 0
    assert found["deep"][1] > 0
    assert found["y"][1] > 0
    stem = sum(float(np.square(conv(model, sample.values)).sum()) for sample in samples)
    assert found["stemmed"][0] == pytest.approx(stem, rel=1e-5)


def test_a_tensor_of_another_length_is_not_compared(tmp_path: Path) -> None:
    models = []
    for name, repeated in (("float", ["x"]), ("rounded", ["x", "x"])):  # as a voice that speaks more slowly
        graph = helper.make_graph(
            [
                helper.make_node("Concat", repeated, ["longer"], axis=0),
                helper.make_node("Relu", ["longer"], ["y"]),
                helper.make_node("Relu", ["x"], ["z"]),
            ],
            "toy",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("y", "z")],
        )
        path = tmp_path / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        models.append(load_model(path))
    sample, runtime = Sample("0", np.ones((1, 4), np.float32)), runtime_named("onnxruntime")
    found = noise_by_tensor(models[0], models[1], ("y", "z"), Driving(), runtime, [sample], tmp_path)
    assert found == {"y": (0.0, 0.0), "z": (4.0, 0.0)}


def conv(model: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    weight = model.ir.graph.initializers["stem_w"].const_value.numpy()[:, :, 0, 0]
    doubled = np.concatenate([values, values], axis=1)
    result: NDArray[np.float32] = np.einsum("oi,nihw->nohw", weight, doubled)
    return result


@given(st.integers(0, 3 * 2**15 + 7), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_pieces_add_up(size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    true, rounded = random.normal(size=(2, size)).astype(np.float32)
    one, other = true.astype(np.float64), rounded.astype(np.float64)
    found = signal_and_noise(true.reshape(1, -1), rounded.reshape(1, -1))
    assert found == pytest.approx((np.square(one).sum(), np.square(other - one).sum()), rel=1e-12)
