"""Running an INT8 candidate against running the float model, on the runtime that studies use.

    python benchmarks/evaluate.py model.onnx images/ --images 64 --rounds 5 --calibrator percentile:99.99

Inference only; opening counts, and so does everything that makes a candidate fast.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from workload import Workload, arguments, interleaved, print_ratios, workload

from calibrant.calibrators import calibrators_named
from calibrant.runtimes.ort import OnnxRuntime
from calibrant.stages.collect import collect
from calibrant.stages.parallel import in_order, workers_of
from calibrant.studies.candidates import write_candidates


def _candidate(work: Workload, calibrator: str, folder: Path) -> Path:
    statistics = collect(
        work.detector.model,
        work.plan.tensors,
        work.task,
        OnnxRuntime(),
        work.samples[: len(work.samples) // 2],
    )
    (candidate,) = write_candidates(work.plan, statistics, calibrators_named(calibrator), folder)
    if candidate.qdq is None:
        raise SystemExit(candidate.failure)
    return candidate.qdq


def _run(model: Path, work: Workload, workers: int) -> None:
    with OnnxRuntime(workers).open(model) as session:
        for _ in in_order(session.run, work.feeds, workers_of(session)):
            pass


def main() -> None:
    parser = arguments("Running a candidate against running the float model.")
    parser.add_argument("--calibrator", default="percentile:99.99")
    given = parser.parse_args()
    work = workload(given.model, given.images, given.count)
    with tempfile.TemporaryDirectory() as folder:
        candidate = _candidate(work, given.calibrator, Path(folder))

        def both(workers: int) -> dict[str, Callable[[], object]]:
            return {
                "FP32": lambda: _run(given.model, work, workers),
                given.calibrator: lambda: _run(candidate, work, workers),
            }

        wall = interleaved(both(0), given.rounds, time.perf_counter)
        alone = interleaved(both(1), given.rounds, time.thread_time)
    print(f"{given.model.name}, {given.count} images")
    print_ratios("Wall time", wall, "FP32", given.count)
    print_ratios("CPU time, one thread", alone, "FP32", given.count)


if __name__ == "__main__":
    main()
