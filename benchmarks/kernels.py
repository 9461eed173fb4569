"""The compiled kernels beside numba's, on the same values: ratio of the least times of interleaved rounds.

python benchmarks/kernels.py

Needs both: a C compiler when Calibrant was installed, and the extra numba. Results that differ end it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.calibrators import _kernels as searching
from calibrant.calibrators import numba_kernels as searching_by_numba
from calibrant.core import _kernels as counting
from calibrant.core import numba_kernels as counting_by_numba
from calibrant.core.cells import CELLS, KEY_ABOVE_ALL, KEY_BELOW_ALL
from calibrant.stages.coverage import _kernels as summing
from calibrant.stages.coverage import numba_kernels as summing_by_numba
from calibrant.stages.coverage.bins import BINS
from calibrant.tasks.detection import _kernels as boxing
from calibrant.tasks.detection import _precision_kernels as averaging
from calibrant.tasks.detection import numba_kernels as boxing_by_numba
from calibrant.tasks.detection.evidence import IOU_THRESHOLDS, RECALL_THRESHOLDS

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=1 << 18).astype(np.float32)
LIMIT = 4.9
TENSORS = {
    "normal": NORMAL,
    "SiLU": (NORMAL / (1 + np.exp(-4 * NORMAL))).astype(np.float32),
    "ReLU": np.maximum(NORMAL, 0),
    "normal, 8,000": NORMAL[:8000],
}


@dataclass(frozen=True)
class Case:
    """A loop, done by a module of kernels; it returns what may be compared."""

    name: str
    compiled: Any
    numba: Any
    work: Callable[[Any], Any]


def cases() -> Iterator[Case]:
    for name, values in TENSORS.items():
        yield Case(f"counting, {name}", counting, counting_by_numba, Counting(values))
    yield Case("counting, 48 normal tensors in turn", counting, counting_by_numba, InTurn(48))
    yield Case("counting, normal, former limits", counting, counting_by_numba, Counting(NORMAL, LIMIT / 8))
    magnitudes = np.abs(RNG.laplace(size=500_000))
    few, many = (np.histogram(magnitudes, bins)[0].astype(np.int64) for bins in (2048, 16384))
    thresholds = magnitudes.max() * 2.0 ** (-np.arange(161) / 16)
    yield Case("entropy", searching, searching_by_numba, lambda k: k.bins_of_least_divergence(few))
    yield Case(
        "mse, 161 thresholds", searching, searching_by_numba,
        lambda k: k.squared_errors(many, magnitudes.max(), thresholds, 127.0),
    )  # fmt: skip
    yield Case("summary", summing, summing_by_numba, summarised)
    scores = RNG.random(25200 * 80, dtype=np.float32) ** 8
    yield Case("floor of the best", boxing, boxing_by_numba, lambda k: k.bits_below_best(scores, 30_000))
    yield from of_boxes(30_000)
    yield from of_matches(images=300, found=30_000, labelled=2_200, classes=80)


@dataclass(frozen=True)
class Counting:
    """anchor: of a histogram that has grown to the limit; as many limits as it had before are looked for."""

    values: np.ndarray
    anchor: float = LIMIT

    def __call__(self, kernels: Any) -> Any:
        cells, keys = np.zeros(CELLS, np.uint32), np.array([KEY_ABOVE_ALL, KEY_BELOW_ALL], np.int64)
        bounds = np.float32(self.anchor), np.float32(LIMIT)
        reached = kernels.count_magnitudes(self.values, 0, *bounds, 0, cells, keys)
        return reached, cells, keys


class InTurn:
    """Counting as in a collection: no cache has kept a tensor and its cells since they were last seen."""

    def __init__(self, tensors: int) -> None:
        self.values = [RNG.permutation(NORMAL) for _ in range(tensors)]
        self.cells = np.zeros((tensors, CELLS), np.uint32)

    def __call__(self, kernels: Any) -> Any:
        keys = np.array([KEY_ABOVE_ALL, KEY_BELOW_ALL], np.int64)
        limit = np.float32(LIMIT)
        for values, cells in zip(self.values, self.cells, strict=True):
            kernels.count_magnitudes(values, 0, limit, limit, 0, cells, keys)
        return keys


def summarised(kernels: Any) -> Any:
    lows, highs = np.array([-2, -3], np.float32), np.array([2, 3], np.float32)
    counts, outside = np.zeros(BINS, np.int64), np.zeros(2, np.int64)
    extremes = np.array([np.inf, -np.inf], np.float32)
    kernels.summarise(NORMAL, lows, highs, counts, outside, extremes)
    return counts, outside, extremes


def of_boxes(count: int) -> Iterator[Case]:
    corner, size = RNG.random((count, 2)) * 600, RNG.random((count, 2)) * 80 + 4
    boxes = np.hstack([corner, corner + size]).astype(np.float32)
    classes = (RNG.random(count) ** 3 * 80).astype(np.int64)
    for most in (300, count):
        yield Case(
            f"NMS of {count:,} boxes, at most {most:,}", boxing, boxing_by_numba,
            lambda k, most=most: k.greedily_kept(boxes, classes, 80, np.float32(0.65), most),
        )  # fmt: skip


def of_matches(images: int, found: int, labelled: int, classes: int) -> Iterator[Case]:
    boxes = [
        np.hstack([RNG.random((count, 2)) * 100, RNG.random((count, 2)) * 300 + 10])
        for count in (found, labelled)
    ]
    keys = [np.sort(RNG.integers(0, images * classes, count)) for count in (found, labelled)]
    crowd = RNG.random(labelled) < 0.02
    yield Case(
        "COCO's matching", boxing, boxing_by_numba,
        lambda k: k.matches(boxes[0], keys[0], boxes[1], keys[1], crowd, IOU_THRESHOLDS),
    )  # fmt: skip
    table = (
        RNG.poisson(1, (50, images)), np.linspace(0, found, classes + 1).astype(np.int64),
        RNG.integers(0, images, found).astype(np.int32),
        np.where(RNG.random(found) < 0.07, (1 << RNG.integers(1, 11, found)) - 1, 0).astype(np.uint16),
        np.where(RNG.random(found) < 0.005, 1023, 0).astype(np.uint16),
        RNG.integers(0, images, labelled).astype(np.int32),
        RNG.integers(0, classes, labelled).astype(np.int32),
        len(IOU_THRESHOLDS), RECALL_THRESHOLDS,
    )  # fmt: skip
    yield Case(
        "mean precision, 50 weightings", averaging, boxing_by_numba,
        lambda k: k.weighted_mean_precision(*table),
    )  # fmt: skip


def least(case: Case, seconds: float) -> tuple[float, float]:
    """Least wall time of either kind; each goes first every second time."""
    times: dict[Any, list[float]] = {case.compiled: [], case.numba: []}
    order, ends = [case.compiled, case.numba], time.perf_counter() + seconds
    while time.perf_counter() < ends or len(times[case.numba]) < 5:
        order.reverse()
        for kernels in order:
            started = time.perf_counter()
            case.work(kernels)
            times[kernels].append(time.perf_counter() - started)
    return min(times[case.compiled]), min(times[case.numba])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="for each loop (1)")
    seconds = parser.parse_args().seconds
    for case in cases():
        np.testing.assert_equal(case.work(case.compiled), case.work(case.numba))
        compiled, numba = least(case, seconds)
        print(f"{case.name:36} {1e3 * compiled:9.3f} ms, {compiled / numba:5.2f} of numba's", flush=True)


if __name__ == "__main__":
    main()
