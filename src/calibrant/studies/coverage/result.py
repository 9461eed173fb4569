"""What a coverage study found, as values and as the versioned coverage.json.

Scores are as shown, in the metric's unit; shares, changes and distances are fractions (0.01 is one per cent).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.versions import read_versioned
from calibrant.core.errors import DataError
from calibrant.core.from_json import built
from calibrant.core.metrics import Metric
from calibrant.core.short_repr import ShortRepr
from calibrant.studies.result import ModelSummary
from calibrant.studies.schema_1 import FIRST_TASK, coverage_from_schema_1

SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)
_FORMER_NAMES = {"map_tolerance": "score_tolerance", "maps": "scores"}


@dataclass(frozen=True)
class SourceSet:
    """Which samples took part. ``role`` is "calibration", "test" or "pool"; the hash is over their ids."""

    role: str
    source: str
    samples: int
    ids_sha256: str


# --- does it represent? ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Clipping:
    """What one calibrator's range (``low`` to ``high``, real units) cuts off a tensor.

    Shares of the values outside, in the calibration and in the compared samples; ``samples`` is the share of
    the compared samples that have at least one.
    """

    low: float
    high: float
    calibration_share: float
    share: float
    samples: float


@dataclass(frozen=True)
class TensorCoverage:
    """One tensor in the calibration samples and in the compared ones.

    ``low``, ``high``: the calibrated range (all values seen), ``compared_low``, ``compared_high``: theirs.
    ``samples_outside`` is the share of the compared samples that leave the calibrated range, ``probability``
    how probable so many are if both sets come from one source, and ``excess`` the larger of the two ends'
    overshoot, relative to the calibrated largest magnitude. ``distance`` is the Jensen-Shannon distance
    (0..1) between the two distributions; ``noise`` and ``largest_noise`` are the median and the largest one
    between random halves of the calibration set. ``findings`` holds "outside" and "shifted" where they hold
    beyond chance. ``clipping`` is by calibrator.
    """

    tensor: str
    low: float
    high: float
    compared_low: float
    compared_high: float
    samples_outside: float
    probability: float
    excess: float
    distance: float
    noise: float
    largest_noise: float
    findings: tuple[str, ...]
    clipping: Mapping[str, Clipping]


@dataclass(frozen=True)
class Representation:
    """How well the calibration set stands for the samples of ``compared_with`` ("test" or "pool").

    ``verdict`` is "represents", "does not represent" or "too few samples"; ``reasons`` say why, a sentence
    each. ``expected_outside`` is the share of samples that exceed one end of a tensor's calibrated range by
    chance alone: 1 / (calibration samples + 1). Tensors come worst first.
    """

    compared_with: str
    verdict: str
    reasons: tuple[str, ...]
    expected_outside: float
    tensors: tuple[TensorCoverage, ...]


# --- how many are enough? --------------------------------------------------------------------------


@dataclass(frozen=True)
class LearningPoint:
    """The first ``samples`` of one shuffle of the calibration set, under one calibrator.

    ``seed`` is the shuffle's; None is the order as given. Changes are |width / width from all samples in the
    same order - 1| of the chosen ranges (of symmetric ones: of the thresholds): the median tensor's and the
    95th percentile's. ``value`` is None where it was not measured.
    """

    calibrator: str
    samples: int
    seed: int | None
    median_change: float
    p95_change: float
    value: float | None = None


@dataclass(frozen=True)
class Spread:
    """How far random subsets of ``samples`` samples disagree under one calibrator.

    Of each tensor the standard deviation of its range's width over the shuffles, relative to its mean: the
    median tensor's and the 95th percentile's, and the tensor of the largest. ``map_low`` and ``map_high``
    are the extremes of what was measured, from ``map_count`` subsets; None: none was.
    """

    calibrator: str
    samples: int
    median: float
    p95: float
    largest: float
    largest_tensor: str
    map_low: float | None = None
    map_high: float | None = None
    map_count: int = 0


@dataclass(frozen=True)
class Enough:
    """From how many samples on a calibrator's result no longer depends on which they are.

    ``by_threshold``: the smallest measured size from which on, up to half of the set, random subsets spread
    by less than ``tolerance`` (Spread.median); ``by_map``: from which on every measured subset scores within
    ``score_tolerance`` points of all samples. None: not reached, or not measured.
    """

    calibrator: str
    by_threshold: int | None
    by_map: int | None


@dataclass(frozen=True)
class Learning:
    """Thresholds, and the score as far as the time budget went, against the number of calibration samples.

    ``sizes`` are nested: each shuffle's smaller subsets lie in its larger ones. ``planned`` and ``measured``
    count the evaluations of the score (equal candidates share one).
    """

    sizes: tuple[int, ...]
    seeds: tuple[int | None, ...]
    tolerance: float
    score_tolerance: float
    points: tuple[LearningPoint, ...]
    spreads: tuple[Spread, ...]
    enough: tuple[Enough, ...]
    planned: int = 0
    measured: int = 0


@dataclass(frozen=True)
class OrderScore:
    """The the score of all calibration samples in one order: ``seed`` None is the order as given."""

    seed: int | None
    first_sample: str
    value: float


@dataclass(frozen=True)
class OrderSpread:
    """What the order of the same samples changes under one calibrator: its histogram begins with the first.

    Of each tensor (largest - smallest range) / mean over the orders: the median tensor's, the 95th
    percentile's, the largest and its tensor. ``scores`` are the measured orders; the extreme ones come first.
    """

    calibrator: str
    orders: int
    median: float
    p95: float
    largest: float
    largest_tensor: str
    scores: tuple[OrderScore, ...] = ()


# --- which samples? ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class SimilarPair:
    """Two samples that are the same, or nearly; ``bits`` of 128 differ between their difference hashes.

    ``kind`` is "same file" (equal bytes) or "near-duplicate". ``first`` is a calibration sample, ``second``
    lies in ``second_set``: "calibration" for a duplicate, "test" for a leak.
    """

    kind: str
    first: str
    second: str
    second_set: str
    bits: int


@dataclass(frozen=True)
class Feature:
    """How often something occurs in both sets; ``kind`` is the task's, e.g. "class".

    Counts are of labels, or of what a model found; ``samples`` those it occurs in.
    """

    kind: str
    name: str
    calibration: int
    calibration_samples: int
    compared: int
    compared_samples: int

    @property
    def is_absent(self) -> bool:
        """Whether the calibration set lacks what the other set has."""
        return self.calibration_samples == 0 and self.compared_samples > 0


@dataclass(frozen=True)
class Contents:
    """What the samples show. The sources say who told: labels or the float model's predictions."""

    calibration_source: str
    compared_source: str
    compared_with: str
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class ChosenSample:
    """One sample of the selection; ``adds`` names what it is the first to cover, a few words each."""

    path: str
    adds: tuple[str, ...]


@dataclass(frozen=True)
class SelectionCheck:
    """How one calibrator's thresholds from the selection differ from those of the whole pool, as fractions.

    ``value`` of the selection and of the whole pool, points; None: not measured.
    """

    calibrator: str
    median_change: float
    p95_change: float
    value: float | None = None
    pool_value: float | None = None


@dataclass(frozen=True)
class Selection:
    """The smallest subset found that covers a pool: greedy set cover, at most ln(wanted) + 1 times minimal.

    ``wanted`` counts what is to be covered, ``list_file`` is the list for --calib, in the run's folder, and
    ``source`` says where the pool's boxes come from.
    """

    pool: str
    pool_samples: int
    wanted: int
    source: str
    list_file: str
    chosen: tuple[ChosenSample, ...]
    checks: tuple[SelectionCheck, ...]


# --- all of it -------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class CoverageResult(ShortRepr):
    """A finished coverage study. ``out`` is the folder that holds coverage.json and the list file.

    ``representation`` and ``contents`` are None where nothing was given to compare with, ``learning`` and
    ``order`` say nothing of a set of one sample, ``float_value`` (points) is None without labels.
    """

    out: str
    created: str
    model: ModelSummary
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    sets: tuple[SourceSet, ...]
    float_value: float | None
    representation: Representation | None
    learning: Learning | None
    order: tuple[OrderSpread, ...]
    duplicates: tuple[SimilarPair, ...]
    leaks: tuple[SimilarPair, ...]
    contents: Contents | None
    selection: Selection | None
    seconds: Mapping[str, float]
    metric: Metric
    warnings: tuple[str, ...] = ()
    task: str = FIRST_TASK

    def to_dict(self) -> dict[str, Any]:
        """The study as coverage.json holds it; JSON types only."""
        content = asdict(self)
        del content["out"]
        unit = self.metric.unit or "as they are"
        units = f"scores: {unit}; shares, changes and distances: fractions; thresholds: real units"
        return {"schema_version": SCHEMA_VERSION, "units": units, **_plain(content)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], out: str | Path) -> CoverageResult:
        """A study from what coverage.json holds, of schema 1 or 2. Raises KeyError or TypeError otherwise."""
        if content["schema_version"] == 1:
            content = coverage_from_schema_1(content)
        return built(cls, {**_with_names_of_today(content), "out": str(out)})


def read_coverage(path: Path) -> CoverageResult:
    """Read coverage.json. Raises DataError when it is missing, damaged or of another version."""
    content = read_versioned(path, READABLE, "make it again: calibrant coverage")
    try:
        return CoverageResult.from_dict(content, path.parent)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no coverage: {error}; make it again: calibrant coverage") from error


def _with_names_of_today(content: Any) -> Any:
    """The same content without the names that a field had before, at any depth."""
    if isinstance(content, Mapping):
        return {_FORMER_NAMES.get(name, name): _with_names_of_today(value) for name, value in content.items()}
    return [_with_names_of_today(item) for item in content] if isinstance(content, list) else content


def _plain(value: Any) -> Any:
    """Tuples as lists and floats in six significant digits, so that the file stays readable."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
