"""What work will do and take, told before any of it is done: time, memory and disk.

Time is extrapolated from the float model on a few samples of this machine, so it is about right; memory and
disk are bounds that the work stays below (memory in the large, see studies/memory.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from calibrant.core.histogram import BINS
from calibrant.core.machine import resident_bytes
from calibrant.core.sizes import format_bytes
from calibrant.core.tasks import Task
from calibrant.core.types import Session
from calibrant.models.onnx.memory import footprint
from calibrant.runtimes import REFERENCE
from calibrant.stages.evaluate import predictions_of
from calibrant.studies.candidates import QuantPlan
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.diagnosis.of_run import SHARE_OF_STUDY
from calibrant.studies.memory import ParallelRuntime, memory_need
from calibrant.studies.prepare import runnable_file
from calibrant.studies.run import Study

# Of the time of the float model on a sample: docs/benchmarks.md, rounded up.
_COLLECTING, _CANDIDATE = 2.0, 1.5
_SEARCHING_SECONDS = 0.1  # the ranges of a tensor, all calibrators
_TIMED, _WARMING = 6, 2
_REPORTS = 8 * 2**20  # pages, tables, a diagnosis with its pictures, and small files
_TENSOR_BYTES = 1024  # an activation's pair of nodes, or its line in a file, beside its name
_SAMPLE_BYTES = 4096  # evidence of a sample with its labels, beside its predictions
_RECIPES_KEPT = 400  # measurements of an optimization, each a small file


@dataclass(frozen=True)
class Estimate:
    """What a command will do (``steps``, in order) and take.

    seconds: about. memory: bytes of this process. disk: bytes that its folder ``out`` grows by, at most,
    cache: those of the user's cache folder, at most.
    """

    out: str
    steps: tuple[str, ...]
    seconds: float
    memory: int
    disk: int
    cache: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**asdict(self), "steps": list(self.steps)}

    def lines(self) -> Iterator[str]:
        """What is printed."""
        yield from self.steps
        yield f"time    about {told_seconds(self.seconds)}"
        yield f"memory  {format_bytes(self.memory)}"
        kept = f", and {format_bytes(self.cache)} in the cache folder" if self.cache else ""
        yield f"disk    at most {format_bytes(self.disk)} in {self.out}{kept}"
        yield "nothing was run, and nothing was written"


def told_seconds(seconds: float) -> str:
    """Seconds, minutes or hours, as people say them."""
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def study_estimate(
    study: Study,
    out: str,
    diagnosis: float | None = None,
    *,
    cached: bool = True,
) -> Estimate:
    """Of a study. diagnosis: seconds for it; None: a share of the study's own time.

    Stopping candidates early makes it shorter. Raises RuntimeFailedError or DataError.
    """
    words, count = study.task.words, len(study.calibrators)
    rate = _seconds_a_sample(study)
    own = rate * (
        _COLLECTING * len(study.calibration) + (1 + _CANDIDATE * count) * len(study.test)
    ) + _SEARCHING_SECONDS * len(study.plan.tensors)
    later = SHARE_OF_STUDY * own if diagnosis is None else diagnosis
    steps = (
        f"collect statistics of {len(study.plan.tensors)} tensors on {words.counted(len(study.calibration))}",
        f"write candidates: {', '.join(named.name for named in study.calibrators)}",
        f"measure {study.task.metric.words} of the float model and of each candidate on "
        f"{words.counted(len(study.test))} ({study.settings.runtime})",
        *(["say why candidates lose"] if later else []),
    )
    evidence = _evidence_bytes(study)
    disk = count * candidate_bytes(study.plan) + statistics_bytes(study.plan) + (count + 1) * evidence
    predictions = len(study.test) * (_SAMPLE_BYTES + study.task.prediction_bytes)
    prepared = len(study.test) * study.task.prepared_bytes
    cache = (count + 1) * predictions + statistics_bytes(study.plan) + prepared if cached else 0
    return Estimate(
        out, steps, own + later, _memory(study), disk + _float_bytes(study.plan) + _REPORTS, cache
    )


def optimization_estimate(study: Study, out: str, budget: float) -> Estimate:
    """Of an optimization that may search for ``budget`` seconds. Raises as study_estimate."""
    words, half = study.task.words, len(study.test) // 2
    rest = len(study.test) - half
    steps = (
        f"search for at most {told_seconds(budget)}: ranges of {len(study.calibrators)} calibrators, "
        f"transforms and mixed precision, chosen on {words.counted(half)}",
        f"report on the other {words.counted(rest)}",
        "write the best model, its recipe and its encodings",
    )
    # The front, its members without one technique each, and what was begun when the budget ran out.
    reported = 12 * _CANDIDATE * rest * _seconds_a_sample(study)
    disk = (
        2 * _float_bytes(study.plan)
        + candidate_bytes(study.plan)
        + _RECIPES_KEPT * (_TENSOR_BYTES * (1 + len(study.plan.tensors) // 16) + _evidence_bytes(study))
        + _REPORTS
    )
    return Estimate(out, steps, budget + reported, _memory(study), disk)


def coverage_estimate(study: CoverageStudy, out: str) -> Estimate:
    """Of an examination of a calibration set."""
    sets = [part for part in (study.calibration, study.test, study.pool) if part is not None]
    samples = sum(len(part.samples) for part in sets)
    words, shuffles, budget = study.task.words, study.settings.shuffles, study.settings.budget
    steps = (
        f"look at {words.counted(samples)} of {len(sets)} sets",
        f"collect statistics of {len(study.plan.tensors)} tensors, in {shuffles} orders",
        *([f"measure scores for at most {told_seconds(budget)}"] if study.test and budget else []),
        f"choose {words.samples} that suffice",
    )
    with runnable_file(study.opened.model) as file, study.runtime.open(file) as session:
        rate = _rate(session, study.task, study.calibration.samples)
    seconds = rate * (_COLLECTING * (samples + shuffles * len(study.calibration.samples)) + samples)
    size = footprint(study.plan.model)
    # A summary of each sample and the statistics of each size that are looked at.
    memory = resident_bytes() + 5 * size.weights + 2 * size.total + 4 * statistics_bytes(study.plan)
    disk = _REPORTS + samples * _SAMPLE_BYTES + len(study.plan.tensors) * 16 * _TENSOR_BYTES
    return Estimate(out, steps, seconds + (budget if study.test else 0), memory, disk)


def total_estimate(parts: Iterable[Estimate], out: str, failing: Sequence[str] = ()) -> Estimate:
    """Of works that are done one after the other in folders below ``out``. failing: those that cannot be."""
    known = tuple(parts)
    return Estimate(
        out,
        (*(f"{part.out}: about {told_seconds(part.seconds)}" for part in known), *failing),
        sum(part.seconds for part in known),
        max((part.memory for part in known), default=0),
        sum(part.disk for part in known) + _REPORTS,
        sum(part.cache for part in known),
    )


def evaluation_seconds(study: Study) -> float:
    """Of measuring one candidate on all test samples. Raises RuntimeFailedError or DataError."""
    return _CANDIDATE * len(study.test) * _seconds_a_sample(study)


def candidate_bytes(plan: QuantPlan) -> int:
    """At most what a candidate's files take: the Q/DQ model, its encodings, its caches."""
    graph = plan.model.ir.graph
    shapes = {
        name: [dim for dim in value.shape if isinstance(dim, int)]
        for name, value in graph.initializers.items()
        if value.shape is not None
    }
    channels = sum(max(shapes.get(point.tensor, [0]), default=0) for point in plan.points.weights)
    names = sum(len(tensor) for tensor in plan.tensors) + sum(len(p.tensor) for p in plan.points.weights)
    pairs = len(plan.tensors) + 2 * len(plan.points.weights)
    return _float_bytes(plan) + 24 * channels + 16 * names + 4 * _TENSOR_BYTES * pairs


def statistics_bytes(plan: QuantPlan) -> int:
    """At most what the statistics of its tensors take: a histogram each."""
    return len(plan.tensors) * (8 * BINS + _TENSOR_BYTES)


def _float_bytes(plan: QuantPlan) -> int:
    """At most what the float model takes as a file."""
    path, graph = plan.model.path, plan.model.ir.graph
    stored = path.stat().st_size if path.is_file() else 0
    return max(stored, footprint(plan.model).weights) + 2 * _TENSOR_BYTES * len(graph)


def _evidence_bytes(study: Study) -> int:
    """At most what one model's evidence takes."""
    labels = sum(study.data.facts.values())
    return len(study.test) * (_SAMPLE_BYTES + 2 * study.task.prediction_bytes) + 64 * labels


def _memory(study: Study) -> int:
    need = memory_need(study)
    runtimes = [r for r in (study.runtime, study.collector) if isinstance(r, ParallelRuntime)]
    return need.fixed + need.per_worker * max((runtime.workers for runtime in runtimes), default=1)


def _seconds_a_sample(study: Study) -> float:
    """Of the float model, on the reference runtime where another has to build first."""
    runtime = study.runtime if study.runtime.name == REFERENCE else study.collector
    with runnable_file(study.plan.model) as file, runtime.open(file) as session:
        return _rate(session, study.task, study.test or study.calibration)


def _rate(session: Session, task: Task, samples: Sequence[Any]) -> float:
    """Seconds a sample: a few are run before, so that the first one's preparations do not count."""
    for _ in predictions_of(session, task, samples[:_WARMING]):
        pass
    timed = samples[_WARMING : _WARMING + _TIMED] or samples[:1]
    begun = time.perf_counter()
    for _ in predictions_of(session, task, timed):
        pass
    return (time.perf_counter() - begun) / len(timed)
