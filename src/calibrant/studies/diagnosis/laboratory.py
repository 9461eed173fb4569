"""Models made for a diagnosis: some layers quantized, some ranges swapped; measured on ONNX Runtime.

Whatever runtime the study measured on, these models are run as Q/DQ by the reference runtime: it needs no
building, and computes what the scheme says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from calibrant.core.progress import Progress, Silent
from calibrant.core.types import ComparingTask, Encoding, Score
from calibrant.graph.model import save_model
from calibrant.graph.points import QuantPlan
from calibrant.graph.qdq import with_qdq
from calibrant.stages.evaluate import predictions_of
from calibrant.stages.recommend import Candidate, Drop, PairedBootstrap
from calibrant.studies.run import Study

PROXY_IMAGES = 24
FP32 = "FP32"


@dataclass(frozen=True)
class Scored:
    """What a model of this name predicts on all test images, and its score."""

    name: str
    predictions: Sequence[Any]
    score: Score


class Laboratory:
    """Measures models by agreement with FP32 on few images, and by mAP on all of them.

    folder: for the models' files, which are overwritten; it outlives the laboratory.
    """

    def __init__(self, study: Study, task: ComparingTask, folder: Path, progress: Progress) -> None:
        self._study, self._task, self._folder, self._progress = study, task, folder, progress
        self._bootstrap = PairedBootstrap(len(study.test), study.settings.seed)
        self._proxy = spread(study.test, PROXY_IMAGES)
        self._scored: dict[str, Scored] = {}

    @property
    def proxy_images(self) -> int:
        """How many images agreement is measured on."""
        return len(self._proxy)

    @property
    def images(self) -> int:
        """How many images mAP is measured on."""
        return len(self._study.test)

    @property
    def points(self) -> QuantPlan:
        """All points that the study quantizes."""
        return self._study.plan.points

    def agreement(self, points: QuantPlan, encodings: Mapping[str, Encoding]) -> float:
        """How far a model quantized at ``points`` predicts what FP32 does, 0..1."""
        found = self._predictions(self._quantized(points, encodings), self._proxy, "", Silent())
        return self._task.agreement(self._reference, found)

    def fp32(self) -> Scored:
        """The float model on all test images; measured once."""
        if FP32 not in self._scored:
            self._scored[FP32] = self._measured(FP32, self._float_model)
        return self._scored[FP32]

    def scored(self, name: str, encodings: Mapping[str, Encoding], points: QuantPlan | None = None) -> Scored:
        """A model quantized at ``points`` (None: all) on all test images; measured once for each name."""
        if name not in self._scored:
            self._scored[name] = self._measured(name, self._quantized(points or self.points, encodings))
        return self._scored[name]

    def drop(self, reference: Scored, other: Scored) -> Drop:
        """Points of mAP by which ``other`` lies below ``reference``, with the paired interval."""
        return self._bootstrap.drop(_candidate(reference), _candidate(other))

    @cached_property
    def _float_model(self) -> Path:
        path = self._folder / "float.onnx"
        save_model(self._study.plan.model.ir, path)
        return path

    @cached_property
    def _reference(self) -> list[Any]:
        return self._predictions(self._float_model, self._proxy, "", Silent())

    def _quantized(self, points: QuantPlan, encodings: Mapping[str, Encoding]) -> Path:
        path = self._folder / "candidate.qdq.onnx"
        plan = self._study.plan
        save_model(with_qdq(plan.model, points, encodings, plan.scheme), path)
        return path

    def _measured(self, name: str, model: Path) -> Scored:
        samples = self._study.test
        found = self._predictions(model, samples, f"Evaluating {name}", self._progress)
        return Scored(name, found, self._task.score(samples, found))

    def _predictions(self, model: Path, samples: Sequence[Any], title: str, progress: Progress) -> list[Any]:
        with (
            self._study.collector.open(model) as session,
            progress.stage(title, len(samples)) as advance,
        ):
            found = []
            for prediction in predictions_of(session, self._task, samples):
                found.append(prediction)
                advance()
        return found


def spread(samples: Sequence[Any], count: int) -> Sequence[Any]:
    """Up to ``count`` samples, evenly over all of them."""
    kept = min(count, len(samples))
    return [samples[index * len(samples) // kept] for index in range(kept)]


def _candidate(found: Scored) -> Candidate:
    return Candidate(found.name, 0, found.score.value, found.score.evidence)
