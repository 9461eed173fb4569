"""A task and a model small enough to reason about: is a pixel row's response above a limit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Task, sole
from calibrant.core.types import Session

LIKENESS = Metric("likeness")


@dataclass(frozen=True)
class ToySample:
    id: str
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Means:
    """Evidence of a metric that is a mean over samples."""

    values: NDArray[np.float64]

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = (weights @ self.values) / weights.sum(axis=1)
        return means


class ToyTask(Task):
    """Scores how near the output is to the exact convolution, 1 where it is equal."""

    name = "toy"
    metric = LIKENESS

    def __init__(self, kernel: NDArray[np.float32]) -> None:
        self._kernel = kernel

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[ToySample]
    ) -> list[NDArray[np.float32]]:
        return [sole(sessions).run({"x": sample.values})["y"] for sample in samples]

    def interpret(self, raw: NDArray[np.float32], sample: ToySample) -> NDArray[np.float32]:
        return raw.copy()

    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        return float(np.mean([np.exp(-np.abs(a - b).mean()) for a, b in zip(reference, found, strict=True)]))

    def pack(self, predictions: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        return {"values": np.stack(predictions)}

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        return list(arrays["values"])

    def score(self, samples: Sequence[ToySample], predictions: Sequence[Any]) -> Score:
        values = []
        for sample, prediction in zip(samples, predictions, strict=True):
            truth = np.maximum(np.einsum("oi,nihw->nohw", self._kernel[:, :, 0, 0], sample.values), 0)
            values.append(float(np.exp(-np.abs(prediction - truth).mean() / np.abs(truth).mean())))
        evidence = Means(np.array(values))
        return Score(LIKENESS, float(np.mean(values)), (), evidence)


def toy_model(path: Path, seed: int = 0) -> NDArray[np.float32]:
    """Write Conv + Relu and return the weights, (4, 3, 1, 1)."""
    kernel = np.random.default_rng(seed).normal(size=(4, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
            helper.make_node("Relu", ["c"], ["y"], name="relu"),
        ],
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(kernel, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return kernel


def toy_samples(count: int, seed: int, outlier: float = 0.0) -> tuple[ToySample, ...]:
    """Normal values; ``outlier`` is put into the first sample."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        values = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
        if outlier and index == 0:
            values[0, 0, 0, 0] = outlier
        samples.append(ToySample(f"{seed}-{index}", values))
    return tuple(samples)
