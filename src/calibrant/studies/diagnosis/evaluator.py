"""Models made for a diagnosis: some layers quantized, some ranges swapped; measured on ONNX Runtime.

Whatever runtime the study measured on, these models are run as Q/DQ by the reference runtime: it needs no
building, and computes what the scheme says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from calibrant.core.metrics import Loss
from calibrant.core.progress import Progress, Silent
from calibrant.core.tasks import Evaluated
from calibrant.core.types import Encoding
from calibrant.models.onnx.model import save_model
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.qdq import with_qdq
from calibrant.stages.evaluate import predictions_of
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.studies.run import Study

PROXY_SAMPLES = 24
FP32 = "FP32"


class Evaluator:
    """Measures models by agreement with FP32 on few samples, and by the metric on all of them.

    folder: for the models' files, which are overwritten; it outlives the evaluator.
    """

    def __init__(self, study: Study, folder: Path, progress: Progress) -> None:
        self._study, self._task, self._folder, self._progress = study, study.task, folder, progress
        self._bootstrap = PairedBootstrap(len(study.test), study.settings.seed)
        self._proxy = spread(study.test, PROXY_SAMPLES)
        self._scored: dict[str, Evaluated] = {}

    @property
    def proxy_samples(self) -> int:
        """How many samples agreement is measured on."""
        return len(self._proxy)

    @property
    def samples(self) -> int:
        """How many samples the metric is measured on."""
        return len(self._study.test)

    @property
    def points(self) -> QuantPoints:
        """All points that the study quantizes."""
        return self._study.plan.points

    def agreement(self, points: QuantPoints, encodings: Mapping[str, Encoding]) -> float:
        """How far a model quantized at ``points`` predicts what FP32 does, 0..1."""
        found = self._predictions(self._quantized(points, encodings), self._proxy, "", Silent())
        return self._task.agreement(self._reference, found)

    def fp32(self) -> Evaluated:
        """The float model on all test samples; measured once."""
        if FP32 not in self._scored:
            self._scored[FP32] = self._measured(FP32, self._float_model)
        return self._scored[FP32]

    def scored(
        self, name: str, encodings: Mapping[str, Encoding], points: QuantPoints | None = None
    ) -> Evaluated:
        """A model quantized at ``points`` (None: all) on all test samples; measured once for each name."""
        if name not in self._scored:
            self._scored[name] = self._measured(name, self._quantized(points or self.points, encodings))
        return self._scored[name]

    def loss(self, reference: Evaluated, other: Evaluated) -> Loss:
        """What ``other`` loses against ``reference``, with the paired interval."""
        return self._bootstrap.loss(_candidate(reference), _candidate(other))

    @cached_property
    def _float_model(self) -> Path:
        path = self._folder / "float.onnx"
        save_model(self._study.plan.model.ir, path)
        return path

    @cached_property
    def _reference(self) -> list[Any]:
        return self._predictions(self._float_model, self._proxy, "", Silent())

    def _quantized(self, points: QuantPoints, encodings: Mapping[str, Encoding]) -> Path:
        path = self._folder / "candidate.qdq.onnx"
        plan = self._study.plan
        save_model(with_qdq(plan.model, points, encodings, plan.scheme), path)
        return path

    def _measured(self, name: str, model: Path) -> Evaluated:
        samples = self._study.test
        found = self._predictions(model, samples, f"Evaluating {name}", self._progress)
        return Evaluated(found, self._task.score(samples, found))

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


def _candidate(found: Evaluated) -> ScoredCandidate:
    return ScoredCandidate(str(id(found)), 0, found.score)
