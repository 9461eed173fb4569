"""Passes: each growing subset has the bits of its own collection, and a summary is of its own image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibrant.core.errors import NumericsError
from calibrant.core.metrics import Metric
from calibrant.core.progress import Silent
from calibrant.core.tasks import Task, sole
from calibrant.core.types import Range, Session
from calibrant.models.onnx.model import Model, load_model
from calibrant.runtimes import runtime_named
from calibrant.stages.collect import collect
from calibrant.stages.coverage.passes import open_passes

TENSORS = ("x", "y", "z")


@dataclass(frozen=True)
class Values:
    id: str
    array: NDArray[np.float32]


class Feeding(Task):
    """A task that feeds a sample as it is."""

    name = "feeding"
    metric = Metric("none")

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Values]) -> list[Any]:
        return [sole(sessions).run({"x": sample.array}) for sample in samples]

    def interpret(self, raw: Any, sample: Values) -> Any:
        raise NotImplementedError

    def score(self, samples: Any, predictions: Any) -> Any:
        raise NotImplementedError

    def agreement(self, reference: Any, found: Any) -> float:
        raise NotImplementedError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Sigmoid", ["y"], ["z"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 50])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 50])],
    )
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def images(count: int) -> list[Values]:
    """Of growing and shrinking magnitude; the first two have no positive value, so that Relu gives zeros."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(scale=2.0 ** (i % 4), size=(1, 50)).astype(np.float32) for i in range(count)]
    return [Values(f"{i}", -abs(array) if i < 2 else array) for i, array in enumerate(arrays)]


def test_each_size_has_the_bits_of_its_own_collection(model: Model) -> None:
    samples, sizes, runtime = images(23), (1, 2, 3, 8, 23), runtime_named("onnxruntime")
    with open_passes(model, TENSORS, Feeding(), runtime) as passes:
        grown = list(passes.growing(samples, sizes, Silent(), ""))
        reversed_too = list(passes.growing(samples[::-1], (23,), Silent(), ""))
    for size, statistics in zip(sizes, grown, strict=True):
        alone = collect(model, TENSORS, Feeding(), runtime, samples[:size])
        assert statistics.sample_ids == alone.sample_ids
        for tensor, expected in alone.tensors.items():
            found = statistics.tensors[tensor]
            assert (found.low, found.high) == (expected.low, expected.high)
            if expected.amax > 0:  # a collection that ends gives dead tensors an anchor, too
                assert found.histogram.limit == expected.histogram.limit
            np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts)
    assert reversed_too[0].tensors["x"].histogram.anchor == float(abs(samples[-1].array).max())


def test_every_image_is_summarised_by_itself_and_in_order(model: Model) -> None:
    samples = images(20)
    ranges: Mapping[str, list[Range]] = {"x": [Range(-1, 1)]}
    with open_passes(model, TENSORS, Feeding(), runtime_named("onnxruntime")) as passes:
        found = list(passes.summaries(samples, ranges, Silent(), ""))
    for sample, summary in zip(samples, found, strict=True):
        assert (summary["x"].low, summary["x"].high) == (sample.array.min(), sample.array.max())
        assert summary["x"].outside.tolist() == [(abs(sample.array) > 1).sum()]
        assert summary["y"].high == max(sample.array.max(), 0)
        assert summary["y"].outside.size == 0


def test_the_image_that_is_no_number_is_named(model: Model) -> None:
    samples = [*images(3), Values("bad.jpg", np.full((1, 50), np.nan, np.float32))]
    runtime = runtime_named("onnxruntime")
    refused = pytest.raises(NumericsError, match=r"tensor 'x' for sample 'bad.jpg': 50 of 50")
    with open_passes(model, TENSORS, Feeding(), runtime) as passes, refused:
        list(passes.summaries(samples, {}, Silent(), ""))
