"""Does a long run grow? Ten thousand images in a loop, the memory after each thousand.

::

    python benchmarks/endurance.py MODEL --calib FOLDER [--images 10000]

The images of the folder are run again and again: first as a calibration, whose activations are observed, then
as an evaluation, whose boxes are decoded and thrown away. Memory is what the process has resident, MiB.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibrant.core.progress import Advance, Silent
from calibrant.runtimes import runtime_named
from calibrant.stages.collect import collect
from calibrant.stages.evaluate import predictions_of
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import detection_task, open_calibration, open_detector, quant_plan

ROWS = 10


def main() -> None:
    """Print the memory as the images go by."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--calib", required=True)
    parser.add_argument("--images", type=int, default=10_000)
    given = parser.parse_args()
    settings = StudySettings()
    detector = open_detector(given.model)
    task = detection_task(detector, settings)
    found = open_calibration(given.calib, None, skip_bad=False).samples
    samples = list(itertools.islice(itertools.cycle(found), given.images))
    runtime, watch = runtime_named("onnxruntime"), Watch()
    collect(detector.model, quant_plan(detector, settings).tensors, task, runtime, samples, watch)
    with runtime.open(given.model) as session, watch.stage("Evaluating", len(samples)) as advance:
        for _ in predictions_of(session, task, samples):
            advance()


class Watch(Silent):
    """Prints the memory ten times in a stage."""

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Advance]:
        """Begin a stage of ``total`` images."""
        print(f"{title}: images, MiB, seconds", flush=True)
        begun, counter = time.monotonic(), itertools.count(1)

        def advance() -> None:
            number = next(counter)
            if number % max(1, total // ROWS) == 0:
                print(f"{number:6d}  {resident():7.1f}  {time.monotonic() - begun:6.0f}", flush=True)

        yield advance


def resident() -> float:
    """MiB that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
