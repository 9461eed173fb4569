"""The same model and data on several runtimes or versions: what differs, and whether it is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.trt_cache_diff import ScaleChange, difference
from calibrant.core.errors import DataError, SettingsError
from calibrant.stages.recommend import Candidate, PairedBootstrap
from calibrant.studies.measuring import STOPPED
from calibrant.studies.runs import Run, load_run

SCALE_TOLERANCE = 1e-3
"""Scales that differ by less, relatively, count as the same."""

# What two studies must share to be comparable: where study.json holds it, and how a user calls it.
_SHARED = {
    ("model", "sha256"): "model",
    ("data", "test_ids_sha256"): "test images",
    ("data", "test_boxes"): "labels",
    ("settings", "confidence"): "--conf",
    ("settings", "iou"): "--iou",
}


@dataclass(frozen=True)
class Cell:
    """One model on one runtime: mAP in points with its 95 % interval, and milliseconds; None: not known.

    ``failure`` says why there is no mAP: it failed, or was stopped after ``stopped_after`` images.
    """

    map50_95: float | None
    interval: tuple[float, float] | None
    median_ms: float | None
    device_median_ms: float | None
    failure: str | None = None
    stopped_after: int | None = None


@dataclass(frozen=True)
class Change:
    """What one model lost from the first run to another, in points; ``is_real`` is None without evidence."""

    name: str
    run: str
    drop: float | None
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


@dataclass(frozen=True)
class Comparison:
    """Runs of one model on one test set. ``cells[name][i]`` belongs to ``runs[i]``; None: not studied."""

    model: str
    images: int
    runs: tuple[str, ...]
    runtimes: tuple[str, ...]
    cells: Mapping[str, tuple[Cell | None, ...]]
    changes: tuple[Change, ...]
    scales: tuple[MovedScales, ...]

    def fails(self, limit: float) -> tuple[Change, ...]:
        """The changes that lose more than ``limit`` points, and models that no longer run."""
        return tuple(c for c in self.changes if c.failure or (c.drop is not None and c.drop > limit))

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        scales = [{**asdict(s), "moved": [change.to_dict() for change in s.moved]} for s in self.scales]
        return {
            "schema_version": 1,
            "units": "mAP and drops are points, 0..100",
            **asdict(self),
            "scales": scales,
        }


def compare_runs(folders: Sequence[Path], seed: int = 0) -> Comparison:
    """Compare runs of the same model and data with the first of them.

    Differences are resampled in pairs, image by image, where the runs kept their evidence.
    Raises SettingsError for fewer than two folders, and DataError for one that holds no run and for runs
    that do not belong together.
    """
    if len(folders) < 2:
        raise SettingsError("a comparison takes two runs or more, e.g. calibrant compare runs/a runs/b")
    runs = [load_run(folder) for folder in folders]
    for run in runs[1:]:
        _require_comparable(runs[0], run)
    names = tuple(dict.fromkeys(name for run in runs for name in run.names))
    images = int(runs[0].content["data"]["test_images"])
    table = _Table(runs, names, PairedBootstrap(images, seed))
    return Comparison(
        model=str(runs[0].content["model"]["path"]),
        images=images,
        runs=tuple(str(run.folder) for run in runs),
        runtimes=tuple(run.runtime for run in runs),
        cells={name: tuple(table.cell(name, index) for index in range(len(runs))) for name in names},
        changes=tuple(
            change for name in names for index in range(1, len(runs)) if (change := table.change(name, index))
        ),
        scales=tuple(
            moved for name in names for run in runs[1:] if (moved := _moved_scales(name, runs[0], run))
        ),
    )


def _require_comparable(first: Run, other: Run) -> None:
    for (section, key), called in _SHARED.items():
        values = [run.content[section].get(key) for run in (first, other)]
        if values[0] != values[1]:
            shown = " and ".join(str(value)[:16] for value in values)
            raise DataError(
                f"{first.folder} and {other.folder} differ in {called} ({shown}); "
                "compare runs of one model on the same data"
            )


class _Table:
    """Every run's models, under one set of resamples."""

    def __init__(self, runs: Sequence[Run], names: Sequence[str], bootstrap: PairedBootstrap) -> None:
        self._runs, self._bootstrap = runs, bootstrap
        self._candidates = {
            (name, index): self._candidate(name, index) for name in names for index in range(len(runs))
        }

    def cell(self, name: str, index: int) -> Cell | None:
        """What one run measured of one model."""
        entry = self._runs[index].entry(name)
        if entry is None:
            return None
        candidate, latency = self._candidates[name, index], entry.get("latency") or {}
        return Cell(
            _points(entry),
            _rounded(self._bootstrap.interval(candidate)) if candidate else None,
            latency.get("median_ms"),
            latency.get("device_median_ms"),
            entry.get("reason"),
            entry.get("images") if _was_stopped(entry) else None,
        )

    def change(self, name: str, index: int) -> Change | None:
        """From the first run to another; None where one of them did not measure this model."""
        before, after = self._runs[0].entry(name), self._runs[index].entry(name)
        points = (_points(before), _points(after))
        if before is None or after is None or points[0] is None:
            return None
        run = str(self._runs[index].folder)
        if points[1] is None:
            return Change(name, run, None, None, None, _why_not(after))
        first, other = self._candidates[name, 0], self._candidates[name, index]
        if first is None or other is None:
            return Change(name, run, round(points[0] - points[1], 4), None, None)
        drop = self._bootstrap.drop(first, other)
        return Change(name, run, round(drop.points, 4), _rounded((drop.low, drop.high)), drop.is_real)

    def _candidate(self, name: str, index: int) -> Candidate | None:
        entry, evidence = self._runs[index].entry(name), self._runs[index].evidence(name)
        points = _points(entry)
        if points is None or evidence is None:
            return None
        return Candidate(f"{index} {name}", 0, points / 100, evidence)


def _points(entry: Mapping[str, Any] | None) -> float | None:
    """The mAP on all test images; what was stopped has seen only some of them."""
    return None if entry is None or _was_stopped(entry) else entry.get("map50_95")


def _was_stopped(entry: Mapping[str, Any]) -> bool:
    return entry.get("status") == STOPPED


def _why_not(entry: Mapping[str, Any]) -> str:
    reason = entry.get("reason") or "it was not measured"
    return f"{reason}; study it with --no-race to know its mAP" if _was_stopped(entry) else str(reason)


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 4), round(interval[1], 4)


def _moved_scales(name: str, first: Run, other: Run) -> MovedScales | None:
    before, after = first.cache(name), other.cache(name)
    if before is None or after is None:
        return None
    changes = difference(before, after)
    compared = len(changes.changed) + changes.unchanged
    return MovedScales(name, str(other.folder), compared, changes.beyond(SCALE_TOLERANCE))
