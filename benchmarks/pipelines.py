"""What collecting the statistics of all parts of a model costs, against running them in float.

    python benchmarks/pipelines.py MODEL CALIB --samples 8 32 [--window 10]

For each number of samples both run in a process of its own: seconds of CPU (without opening the model) and
the largest resident memory. The samples are the first ones, over and over, so that they cost the same.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from calibrant.core.tasks import Reading
from calibrant.models.onnx.model_folders import model_folder
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.collect import Observed, collect_parts
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import open_parts, quant_plan

FLOAT, COLLECT = "float", "collect"
FIRST = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("calib")
    parser.add_argument("--samples", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--window", type=float)
    parser.add_argument("--only", choices=[FLOAT, COLLECT], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measured(given, given.only, given.samples[0])))
        return
    print("samples  float CPU s  MiB  collect CPU s  MiB  ratio")
    for count in given.samples:
        found = {kind: in_child(given, kind, count) for kind in (FLOAT, COLLECT)}
        alone, all_ = found[FLOAT], found[COLLECT]
        print(
            f"{count:7d}  {alone['cpu']:11.1f}  {alone['rss']:.0f}  {all_['cpu']:13.1f}  {all_['rss']:.0f}  "
            f"{all_['cpu'] / alone['cpu']:.2f}",
            flush=True,
        )


def in_child(given: argparse.Namespace, kind: str, count: int) -> dict[str, float]:
    window = ["--window", str(given.window)] if given.window else []
    command = [sys.executable, __file__, str(given.model), given.calib, "--samples", str(count), *window]
    answer = subprocess.run([*command, "--only", kind], check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(answer.splitlines()[-1])
    return found


def measured(given: argparse.Namespace, kind: str, count: int) -> dict[str, float]:
    folder = model_folder(given.model)
    assert folder is not None
    options: dict[str, Any] = {"window": given.window} if given.window else {}
    opened = open_parts(folder, options=options)
    task, runtime = opened.bound(None), runtime_named(REFERENCE)
    first = opened.part(next(iter(opened.models)))
    distinct = first.calibration_set(given.calib, Reading(FIRST, False)).samples
    samples = [distinct[at % len(distinct)] for at in range(count)]
    plans = {part: quant_plan(opened.part(part), StudySettings()) for part in opened.models}
    begun = time.process_time()
    if kind == COLLECT:
        parts = {part: Observed(plan.model, plan.tensors) for part, plan in plans.items()}
        collect_parts(parts, task, runtime, samples)
    else:
        sessions = {part: runtime.open(file) for part, file in opened.files.items()}
        begun = time.process_time()
        for sample in samples:
            task.drive(sessions, [sample])
    cpu = time.process_time() - begun
    return {"cpu": cpu, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    main()
