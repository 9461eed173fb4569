"""What a study's pieces of work weigh and take: bytes sent and returned, seconds, and the coordinator's own.

    python benchmarks/scale.py MODEL --calib DIR --data LABELS [--limit N] [--calib-limit N] [--out DIR]

Each piece goes through a pickle, as it does on the way to a worker, and is done in this process on one core.
Seconds are CPU time: a loaded machine does not change them much.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibrant import api
from calibrant.api import studies as api_studies
from calibrant.core.closing import ClosesOnExit
from calibrant.core.executor import Work
from calibrant.executors.answers import answer_of, versions


@dataclass
class Tally:
    """Of one kind of work."""

    count: int = 0
    sent: int = 0
    returned: int = 0
    seconds: float = 0.0


@dataclass
class Weighing(ClosesOnExit):
    """An executor that does the work here and weighs it."""

    tallies: defaultdict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    process: threading.Lock = field(default_factory=threading.Lock)

    def slots(self, gpus: int = 0) -> int:  # noqa: ARG002
        return 1

    def submit(self, work: Work) -> Future[Any]:
        promised: Future[Any] = Future()
        with self.process:
            sent = pickle.dumps(work)
            begun = time.process_time()
            answer = answer_of(pickle.loads(sent), versions())
            seconds = time.process_time() - begun
        returned = pickle.dumps(answer)
        tally = self.tallies[type(work).__name__]
        tally.count += 1
        tally.sent += len(sent)
        tally.returned += len(returned)
        tally.seconds += seconds
        promised.set_result(pickle.loads(returned).unwrap())
        return promised

    def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--calib-limit", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    weighing = Weighing()
    api_studies.executor_named = lambda _: weighing  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder) / "run"
        begun = time.process_time()
        result = api.study(
            options.model,
            options.calib,
            options.data,
            out=out,
            limit=options.limit,
            calib_limit=options.calib_limit,
            cache=False,
            diagnose_budget=0,
            executor="weighing",
        )
        total = time.process_time() - begun
        written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{Path(options.model).name}: {result.data.calibration_images} calibration images, "
          f"{result.data.test_images} test images, {len(result.trials)} calibrators")  # fmt: skip
    print(f"{'work':<18}{'pieces':>7}{'sent, kB':>10}{'back, kB':>10}{'s each':>8}{'s':>8}")
    for kind, tally in weighing.tallies.items():
        sent, back = (total / tally.count / 1000 for total in (tally.sent, tally.returned))
        each = tally.seconds / tally.count
        print(f"{kind:<18}{tally.count:>7}{sent:>10.1f}{back:>10.1f}{each:>8.2f}{tally.seconds:>8.1f}")
    moved = sum(tally.sent + tally.returned for tally in weighing.tallies.values())
    own = total - sum(tally.seconds for tally in weighing.tallies.values())
    print(f"moved {moved / 1e6:.1f} MB; the coordinator's own CPU time {own:.1f} s of {total:.1f} s")
    print(f"the run's folder {written / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
