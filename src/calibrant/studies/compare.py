"""The same model and data on several runtimes or versions: what differs, and whether it is real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.metrics import Metric, Score, loss
from calibrant.core.short_repr import ShortRepr
from calibrant.core.tasks import TaskDefinition
from calibrant.core.types import Latency
from calibrant.stages.recommend import RESAMPLES, PairedBootstrap, ScoredCandidate
from calibrant.studies.runs import Run, load_run
from calibrant.studies.trial_evaluator import STOPPED
from calibrant.studies.verdict import BASELINE
from calibrant.targets.tensorrt.cache_diff import ScaleChange, difference

SCHEMA_VERSION = 2
SCALE_TOLERANCE = 1e-3
"""Scales that differ by less, relatively, count as the same."""
# Wider intervals lie further out, where fewer resamples are.
_PER_RESAMPLES = 4


@dataclass(frozen=True)
class Cell:
    """One model on one runtime: its score with the 95 % interval, and milliseconds; None: not known.

    ``failure`` says why there is no score: it failed, or was stopped after ``stopped_after`` samples.
    """

    value: float | None
    interval: tuple[float, float] | None
    median_ms: float | None
    device_median_ms: float | None
    failure: str | None = None
    stopped_after: int | None = None


@dataclass(frozen=True)
class Change:
    """What one model lost from the first run to another; ``is_real`` is None without evidence."""

    name: str
    run: str
    loss: float | None
    interval: tuple[float, float] | None
    is_real: bool | None
    failure: str | None = None


@dataclass(frozen=True)
class MovedScales:
    """How a calibrator's scales differ from the first run to another; the largest changes first."""

    name: str
    run: str
    compared: int
    moved: tuple[ScaleChange, ...]


@dataclass(frozen=True, repr=False)
class Comparison(ShortRepr):
    """Runs of one model on one test set. ``cells[name][i]`` belongs to ``runs[i]``; None: not studied.

    joint: the number of differences whose intervals hold all at once at 95 %; 1: each by itself.
    """

    model: str
    task: str
    metric: Metric
    samples: int
    runs: tuple[str, ...]
    runtimes: tuple[str, ...]
    cells: Mapping[str, tuple[Cell | None, ...]]
    changes: tuple[Change, ...]
    scales: tuple[MovedScales, ...]
    joint: int = 1

    def fails(self, limit: float) -> tuple[Change, ...]:
        """The changes that lose more than ``limit``, in the metric's unit, and models that no longer run."""
        return tuple(c for c in self.changes if c.failure or (c.loss is not None and c.loss > limit))

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        scales = [{**asdict(s), "moved": [change.to_dict() for change in s.moved]} for s in self.scales]
        return {
            "schema_version": SCHEMA_VERSION,
            "units": f"scores and losses: {self.metric.unit or 'as they are'}",
            **asdict(self),
            "scales": scales,
        }


def compare_runs(folders: Sequence[Path], seed: int = 0, joint: int = 1) -> Comparison:
    """Compare runs of the same model and data with the first of them.

    Differences are resampled in pairs, sample by sample, where the runs kept their evidence. joint: of how
    many differences the intervals hold at once, these and others that are read with them.
    Raises SettingsError for fewer than two folders, and DataError for one that holds no run and for runs
    that do not belong together.
    """
    if len(folders) < 2:
        raise SettingsError("a comparison takes two runs or more, e.g. calibrant compare runs/a runs/b")
    runs = [load_run(folder) for folder in folders]
    for run in runs[1:]:
        _require_comparable(runs[0], run)
    names = tuple(dict.fromkeys(name for run in runs for name in run.names))
    first = runs[0].result
    samples = first.data.test_samples
    resamples = RESAMPLES * -(-joint // _PER_RESAMPLES)
    table = _Table(runs, names, PairedBootstrap(samples, seed, resamples), joint)
    return Comparison(
        model=first.model.path,
        task=first.task,
        metric=first.metric,
        samples=samples,
        runs=tuple(str(run.folder) for run in runs),
        runtimes=tuple(run.runtime for run in runs),
        cells={name: tuple(table.cell(name, index) for index in range(len(runs))) for name in names},
        changes=tuple(
            change for name in names for index in range(1, len(runs)) if (change := table.change(name, index))
        ),
        scales=tuple(
            moved for name in names for run in runs[1:] if (moved := _moved_scales(name, runs[0], run))
        ),
        joint=joint,
    )


def _require_comparable(first: Run, other: Run) -> None:
    for called, (one, two) in _to_share(first, other):
        if one != two:
            shown = " and ".join(str(value)[:16] for value in (one, two))
            raise DataError(
                f"{first.folder} and {other.folder} differ in {called} ({shown}); "
                "compare runs of one model on the same data"
            )


def _to_share(first: Run, other: Run) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """What two studies must share to be comparable, as a user calls it, with what each has."""
    one, two = first.result, other.result
    words = one.definition.words
    yield "task", (one.task, two.task)
    yield "metric", (one.metric.name, two.metric.name)
    yield "model", (one.model.sha256, two.model.sha256)
    yield f"test {words.samples}", (one.data.test_ids_sha256, two.data.test_ids_sha256)
    yield "labels", (dict(one.data.facts), dict(two.data.facts))
    own, others = (dict(result.settings.get("options") or {}) for result in (one, two))
    places = _places_of(one.definition)  # another machine has the same samples elsewhere
    for name in (name for name in dict.fromkeys((*own, *others)) if name not in places):
        yield f"option {name}", (own.get(name), others.get(name))


def _places_of(definition: TaskDefinition) -> set[str]:
    return {field.name for field in fields(definition.options) if field.metadata.get("is_place")}


class _Table:
    """Every run's models, under one set of resamples."""

    def __init__(
        self, runs: Sequence[Run], names: Sequence[str], bootstrap: PairedBootstrap, joint: int
    ) -> None:
        self._runs, self._bootstrap, self._joint = runs, bootstrap, joint
        self._candidates = {
            (name, index): self._candidate(name, index) for name in names for index in range(len(runs))
        }

    def cell(self, name: str, index: int) -> Cell | None:
        """What one run measured of one model."""
        found = _entry(self._runs[index], name)
        if found is None:
            return None
        candidate, latency = self._candidates[name, index], found.latency
        return Cell(
            found.value,
            self._rounded(*self._bootstrap.interval(candidate)) if candidate else None,
            latency.median_ms if latency else None,
            latency.device_median_ms if latency else None,
            found.reason,
            found.stopped_after,
        )

    def change(self, name: str, index: int) -> Change | None:
        """From the first run to another; None where one of them did not measure this model."""
        before, after = _entry(self._runs[0], name), _entry(self._runs[index], name)
        if before is None or after is None or before.value is None:
            return None
        run = str(self._runs[index].folder)
        if after.value is None:
            return Change(name, run, None, None, None, after.why_not)
        first, other = self._candidates[name, 0], self._candidates[name, index]
        if first is None or other is None:
            lost = loss(before.value, after.value, replace(self._metric, scale=1.0))
            return Change(name, run, self._metric.rounded(lost), None, None)
        found = self._bootstrap.loss(first, other, together=self._joint)
        interval = self._rounded(found.low, found.high)
        return Change(name, run, self._metric.rounded(found.value), interval, found.is_real)

    @property
    def _metric(self) -> Metric:
        return self._runs[0].result.metric

    def _rounded(self, low: float, high: float) -> tuple[float, float]:
        return self._metric.rounded(low), self._metric.rounded(high)

    def _candidate(self, name: str, index: int) -> ScoredCandidate | None:
        run = self._runs[index]
        found, evidence = _entry(run, name), run.evidence(name)
        if found is None or found.value is None or evidence is None:
            return None
        metric = run.result.metric
        return ScoredCandidate(f"{index} {name}", 0, Score(metric, found.value / metric.scale, (), evidence))


@dataclass(frozen=True)
class _Entry:
    """What a run knows of one model, the float one or a candidate. ``value``: on all test samples."""

    value: float | None
    latency: Latency | None
    reason: str | None = None
    stopped_after: int | None = None

    @property
    def why_not(self) -> str:
        """Why there is no value."""
        reason = self.reason or "it was not measured"
        return (
            reason if self.stopped_after is None else f"{reason}; study it with --no-race to know its score"
        )


def _entry(run: Run, name: str) -> _Entry | None:
    if name == BASELINE:
        baseline = run.result.baseline
        return _Entry(baseline.score.value, baseline.latency)
    trial = run.trial(name)
    if trial is None:
        return None
    return _Entry(
        trial.value, trial.latency, trial.reason, trial.samples if trial.status == STOPPED else None
    )


def _moved_scales(name: str, first: Run, other: Run) -> MovedScales | None:
    before, after = first.cache(name), other.cache(name)
    if before is None or after is None:
        return None
    changes = difference(before, after)
    compared = len(changes.changed) + changes.unchanged
    return MovedScales(name, str(other.folder), compared, changes.beyond(SCALE_TOLERANCE))
