"""What the benchmarks share: a model, its inputs made ready, and interleaved measuring."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.studies.candidates import QuantPlan
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import (
    Detector,
    detection_task,
    open_calibration,
    open_detector,
    quant_plan,
)
from calibrant.tasks.detection import DetectionTask

# Inputs held in memory; longer runs go round them.
DISTINCT = 16


@dataclass(frozen=True)
class ReadySample:
    id: str
    array: NDArray[np.float32]
    path: None = None


@dataclass(frozen=True)
class Workload:
    detector: Detector
    plan: QuantPlan
    task: DetectionTask
    samples: Sequence[ReadySample]
    feeds: Sequence[Mapping[str, NDArray[Any]]]


class _Catcher:
    """In a session's place: keeps the inputs."""

    def __init__(self) -> None:
        self.feeds: list[Mapping[str, NDArray[Any]]] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        self.feeds.append(dict(feeds))
        return {}


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model", type=Path, help="a float detector, ONNX")
    parser.add_argument("images", help="a folder of images")
    parser.add_argument("--images", dest="count", type=int, default=128, help="how many to run (128)")
    parser.add_argument("--rounds", type=int, default=5, help="how often to measure each (5)")
    return parser


def workload(model: Path, images: str, count: int, distinct: int = DISTINCT) -> Workload:
    detector, settings = open_detector(model), StudySettings()
    task, catcher = detection_task(detector, settings), _Catcher()
    for sample in open_calibration(images, min(count, distinct), False).samples:
        task.drive(catcher, sample)  # type: ignore[arg-type]
    feeds = [catcher.feeds[index % len(catcher.feeds)] for index in range(count)]
    samples = [ReadySample(str(index), next(iter(fed.values()))) for index, fed in enumerate(feeds)]
    return Workload(detector, quant_plan(detector, settings), task, samples, feeds)


def interleaved(
    works: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each work in each round. The first round warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            started = clock()
            work()
            seconds[name].append(clock() - started)
    return {name: measured[1:] for name, measured in seconds.items()}


def print_ratios(title: str, seconds: Mapping[str, Sequence[float]], base: str, images: int) -> None:
    """Each work's least time an image, and the median over rounds of its ratio to ``base``."""
    print(title)
    for name, measured in seconds.items():
        ratio = statistics.median(own / of for own, of in zip(measured, seconds[base], strict=True))
        print(f"  {name:44} {1000 * min(measured) / images:8.2f} ms an image   {ratio:5.2f} of {base}")
