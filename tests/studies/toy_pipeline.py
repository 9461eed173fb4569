"""A task of two or three parts, small enough to reason about: one convolution after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from toy import LIKENESS, Means, ToySample, toy_model, toy_samples

from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import (
    AUTO,
    ModelFolder,
    Reading,
    Recognition,
    SampleSet,
    Task,
    TaskDefinition,
)
from calibrant.core.types import ModelSignature, Session
from calibrant.tasks import registry

NAME = "toys"


class KeptMeans(Means):
    """As Means, to be kept in a file."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"values": self.values}


class ToyPipeline(Task):
    """Drives one convolution after the other; the truth is what they give in float."""

    name = NAME
    needs_reference = True

    def __init__(self, parts: Sequence[str], truth: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        self.parts, self.kept_parts = tuple(parts), tuple(parts)
        self._truth = truth or {}

    @property
    def metric(self) -> Metric:
        return LIKENESS

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[ToySample]) -> list[Any]:
        found = []
        for sample in samples:
            values: Any = sample.values
            for part in self.parts:
                values = sessions[part].run({"x": values[:, :3]})["y"]
            found.append(values)
        return found

    def interpret(self, raw: NDArray[np.float32], sample: ToySample) -> NDArray[np.float32]:
        return raw.copy()

    def referring_to(self, samples: Sequence[ToySample], predictions: Sequence[Any]) -> ToyPipeline:
        return ToyPipeline(self.parts, {s.id: p for s, p in zip(samples, predictions, strict=True)})

    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        return float(np.mean([np.exp(-np.abs(a - b).mean()) for a, b in zip(reference, found, strict=True)]))

    def pack(self, predictions: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        return {"values": np.stack(predictions)}

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        return list(arrays["values"])

    def score(self, samples: Sequence[ToySample], predictions: Sequence[Any]) -> Score:
        values = [
            float(
                np.exp(-np.abs(found - self._truth[sample.id]).mean() / np.abs(self._truth[sample.id]).mean())
            )
            for sample, found in zip(samples, predictions, strict=True)
        ]
        return Score(LIKENESS, float(np.mean(values)), (), KeptMeans(np.array(values)))


class ToyPipelines(TaskDefinition):
    """Takes folders in which there is an encoder."""

    name = NAME
    title = "toys"

    @property
    def metric(self) -> Metric:
        return LIKENESS

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        return None

    def recognise_folder(
        self, signatures: Mapping[str, ModelSignature], folder: ModelFolder, family: str = AUTO
    ) -> Recognition | None:
        return Recognition(NAME, "toys", "it has an encoder") if "encoder" in signatures else None

    def open_test(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        count = int(Path(source).name)
        hashed = f"{count} samples"
        return SampleSet(source, toy_samples(count, 1), content_sha256=hashed, truth_sha256=hashed)

    def open_calibration(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        count = int(Path(source).name)
        return SampleSet(source, toy_samples(count, 2), content_sha256=f"{count} samples")

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: Any,
        test: SampleSet | None = None,
    ) -> Task:
        return ToyPipeline(list(signatures))

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> KeptMeans:
        return KeptMeans(arrays["values"])


TOYS = ToyPipelines()


@contextmanager
def known_to_the_registry() -> Iterator[None]:
    """While it lasts the toys' task is one of the house's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.TASKS, NAME, "toy_pipeline:TOYS")
        registry.task_named.cache_clear()
        yield
    registry.task_named.cache_clear()


def toy_folder(path: Path, parts: Sequence[str]) -> Path:
    """Write a toy model for each of the parts."""
    path.mkdir()
    for seed, part in enumerate(parts):
        toy_model(path / f"{part}.onnx", seed)
    (path / "tokens.txt").write_text("a 0\n")
    return path
