"""Whole studies against the evaluation of the float model: every figure is of one command, start to exit.

    python benchmarks/studies.py yolox_nano_416.onnx --calib train2017 --data instances_val2017_300.json

The study has all calibrators, without what explains it (``--diagnose-budget 0s``). Results that other
runs kept are in nobody's way: each command has a cache of its own, and the last one that of the one before.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WITHOUT_DIAGNOSIS = ("--diagnose-budget", "0s")


@dataclass(frozen=True)
class Run:
    """What a command took: wall and CPU seconds."""

    label: str
    wall: float
    cpu: float


def measured(model: Path, calib: str, data: str, limit: int | None) -> Iterator[Run]:
    """The float model's evaluation, then studies of all calibrators."""
    images = ["--limit", str(limit)] if limit else []
    study = ["study", str(model), "--calib", calib, "--data", data, *images, *WITHOUT_DIAGNOSIS]
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder, "one"), Path(folder, "two")
        yield _timed("FP32 evaluation", ["evaluate", str(model), "--data", data, *images], one)
        yield _timed("all evaluated (`--no-race`)", [*study, "--no-race", "--out", f"{one}/a"], one)
        yield _timed("raced", [*study, "--out", f"{two}/b"], two)
        yield _timed("raced, run again", [*study, "--out", f"{two}/c"], two)


def _timed(label: str, arguments: Sequence[str], cache: Path) -> Run:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "calibrant", *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, "CALIBRANT_CACHE": str(cache / "cache")},
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(label, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def table(runs: Sequence[Run]) -> Iterator[str]:
    """Markdown; ratios are to the first run."""
    base = runs[0]
    yield "| | seconds | of the FP32 evaluation | by CPU time |"
    yield "| --- | --- | --- | --- |"
    for run in runs:
        yield f"| {run.label} | {run.wall:.1f} | {run.wall / base.wall:.1f} | {run.cpu / base.cpu:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, help="only the first test images")
    given = parser.parse_args()
    for model in given.models:
        print(f"\n{model.stem}\n")
        print("\n".join(table([*measured(model, given.calib, given.data, given.limit)])), flush=True)


if __name__ == "__main__":
    main()
