"""Collecting all statistics against T, plain FP32 inference of ONNX Runtime's default session.

    python benchmarks/collect.py model.onnx images/ --images 128 --rounds 5

Images are read and prepared beforehand for both. Opening the model and finding the tensors counts for
collecting. Peak memory is that of a process which does nothing else.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import onnxruntime as ort
from workload import Workload, arguments, interleaved, print_ratios, workload

from calibrant.runtimes.ort import OnnxRuntime
from calibrant.stages.collect import collect

MODES = ("float", "collect")


def _session(model: Path, threads: int = 0) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _run(session: ort.InferenceSession, work: Workload) -> None:
    for feeds in work.feeds:
        session.run(None, dict(feeds))


def _collect(work: Workload, workers: int = 0) -> None:
    collect(work.detector.model, work.plan.tensors, work.task, OnnxRuntime(workers), work.samples)


def _peak_mib(mode: str) -> float:
    command = [sys.executable, __file__, *sys.argv[1:], "--only", mode]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _print_own_peak(mode: str, model: Path, work: Workload) -> None:
    if mode == "float":
        _run(_session(model), work)
    else:
        _collect(work)
    print(_own_peak_kib() / 1024)


def _own_peak_kib() -> int:
    """On Linux getrusage also knows the process that started this one; /proc does not."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = arguments("Collecting all statistics against plain FP32 inference.")
    parser.add_argument("--only", choices=MODES, help="print the peak memory of one of both, MiB")
    given = parser.parse_args()
    work = workload(given.model, given.images, given.count)
    if given.only:
        _print_own_peak(given.only, given.model, work)
        return
    print(
        f"{given.model.name}, {given.count} images, {len(work.plan.tensors)} tensors, "
        f"ONNX Runtime {ort.__version__}"
    )
    default, single = _session(given.model), _session(given.model, threads=1)
    wall = {"T": lambda: _run(default, work), "all statistics": lambda: _collect(work)}
    print_ratios("Wall time", interleaved(wall, given.rounds, time.perf_counter), "T", given.count)
    alone = {"T": lambda: _run(single, work), "all statistics": lambda: _collect(work, workers=1)}
    print_ratios("CPU time, one thread", interleaved(alone, given.rounds, time.thread_time), "T", given.count)
    peaks = {mode: _peak_mib(mode) for mode in MODES}
    print(
        f"Peak memory: {peaks['float']:.0f} MiB bare, {peaks['collect'] - peaks['float']:+.0f} MiB collecting"
    )


if __name__ == "__main__":
    main()
