"""Measuring models made of recipes, each once: what is known is read back, also after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.store import read_json, write_json
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.core.metrics import Figure, Score
from calibrant.core.progress import Silent
from calibrant.core.recipes import Recipe
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import Task
from calibrant.core.types import Latency, Runtime, Sample
from calibrant.stages.evaluate import Evaluation, evaluate, predictions_of
from calibrant.studies.evidence import FOLDER, load_evidence, save_evidence
from calibrant.studies.optimization.model_builder import ModelBuilder

FLOAT = "fp32"
SELECT, REPORT = "select", "report"


class Keyed(Protocol):
    """A recipe: those with one key make one model."""

    @property
    def key(self) -> str:
        """A stable hash."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        ...


R = TypeVar("R", bound=Keyed)


@dataclass(frozen=True)
class MadeFile:
    """A model's file, and the task that drives it: of a part, beside the other parts' files."""

    path: Path
    task: Task


@dataclass(frozen=True)
class PartEvaluation:
    """One model on one part of the test samples."""

    score: Score
    latency_ms: float | None = None


@dataclass(frozen=True)
class Samples:
    """Models are compared with the float one on ``proxy``, chosen on ``select`` and reported on ``report``.

    Those of ``proxy`` need no labels, and no ranges were taken from them: there, clipping would not show.
    """

    proxy: Sequence[Sample]
    select: Sequence[Any]
    report: Sequence[Any]


Making: TypeAlias = Callable[[R | None], AbstractContextManager[MadeFile]]
"""What makes the files of a recipe for the time being; None: the float model's."""


def making(builder: ModelBuilder, float_model: Path, task: Task) -> Making[Recipe]:
    """What makes a model of one file by its recipe."""

    @contextmanager
    def made(recipe: Recipe | None) -> Iterator[MadeFile]:
        if recipe is None:
            yield MadeFile(float_model, task)
            return
        with ScratchFolder() as folder:
            file = folder / f"{recipe.key}.qdq.onnx"
            builder.quantized(recipe).write(file)
            yield MadeFile(file, task)

    return made


class Measurer(Generic[R]):
    """Measures the float model and what recipes make of it, on one runtime.

    identity: a hash of all that decides results besides the recipe; measurements of another are not read.
    """

    def __init__(
        self,
        made: Making[R],
        task: Task,
        runtime: Runtime,
        samples: Samples,
        folder: Path,
        identity: str,
        on_kept: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_kept = on_kept
        self._made, self._task = made, task
        self._runtime, self._samples = runtime, samples
        self._folder, self._identity = folder, identity

    def agreement(self, recipe: R) -> float:
        """How far a recipe's model finds on the proxy samples what the float model finds, 0..1."""
        known = (self._known(f"{recipe.key}-agreement") or {}).get("agreement")
        if not (isinstance(known, float | int) and 0 <= known <= 1):
            known = self._task.agreement(self._float_predictions, self._predictions(recipe))
            self._keep(f"{recipe.key}-agreement", {"agreement": known})
        return float(known)

    def measured(self, recipe: R | None, part: str) -> PartEvaluation:
        """A recipe's model, or the float model (None), on the samples of one part."""
        name = f"{recipe.key if recipe else FLOAT}-{part}"
        samples = self._samples.select if part == SELECT else self._samples.report
        known = self._known_measurement(name, len(samples))
        if known is not None:
            return known
        with self._made(recipe) as file:
            found = evaluate(partial(self._runtime.open, file.path), file.task, samples, "", Silent())
        return self._kept_measurement(name, found)

    @cached_property
    def _float_predictions(self) -> list[Any]:
        return self._predictions(None)

    def _predictions(self, recipe: R | None) -> list[Any]:
        with self._made(recipe) as file, self._runtime.open(file.path) as session:
            return list(predictions_of(session, file.task, self._samples.proxy))

    def _known(self, name: str) -> Mapping[str, Any] | None:
        """What was measured before; a damaged or foreign file is measured anew."""
        path = self._folder / f"{name}.json"
        if not path.exists():
            return None
        try:
            content = read_json(path)
        except DataError:
            return None
        return content if content.get("identity") == self._identity else None

    def _keep(self, name: str, content: Mapping[str, Any]) -> None:
        write_json(self._folder / f"{name}.json", {"identity": self._identity, **content})
        self._on_kept()

    def _kept_measurement(self, name: str, found: Evaluation) -> PartEvaluation:
        latency = _median(found.latency)
        evidence = save_evidence(found.score.evidence, self._folder, name)
        content = {
            "value": found.score.value,
            "figures": [asdict(figure) for figure in found.score.figures],
            "evidence": evidence,
            "latency_ms": latency,
        }
        if evidence is not None:
            self._keep(name, content)
        return PartEvaluation(found.score, latency)

    def _known_measurement(self, name: str, samples: int) -> PartEvaluation | None:
        """What was measured before, where it is whole: evidence that gives another value is of another."""
        known = self._known(name)
        if known is None:
            return None
        try:
            value = float(known["value"])
            evidence = load_evidence(self._folder / FOLDER / f"{name}.npz", self._task.name)
            again = float(evidence.resample(np.ones((1, samples), np.int64))[0])
            if not np.isclose(value, again, rtol=1e-6, atol=1e-9, equal_nan=True):
                return None
            figures = tuple(built(Figure, figure) for figure in known["figures"])
            latency = known["latency_ms"]
            score = Score(self._task.metric, value, figures, evidence)
            return PartEvaluation(score, None if latency is None else float(latency))
        except (DataError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            return None


def _median(latency: Latency | None) -> float | None:
    return round(latency.median_ms, 4) if latency else None


def split_in_two(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the samples to select on and to report on: random halves, each in order."""
    order = np.random.default_rng(seed).permutation(count)
    half = count // 2
    return np.sort(order[:half]), np.sort(order[half:])
