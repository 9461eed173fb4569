"""Rank calibrators on ONNX Runtime and OpenVINO, each under its own scheme, and time FP32 against INT8.

python benchmarks/schemes.py MODELS --calib DIR --data DATASET --page PAGE.md
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import calibrant
from calibrant.core.processor import processor_flags, processor_name
from calibrant.core.types import Feeds, Session
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.sessions import model_inputs
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import detection_task, open_calibration, open_detector
from calibrant.studies.result import StudyResult, Trial

CALIBRATORS = ("minmax", "entropy2", "percentile:99.99", "mse")
# scheme and runtime have one name
TARGETS = ("onnxruntime", "openvino")
ROUNDS = 120
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, default=300, help="test images")
    parser.add_argument("--calib-limit", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("runs/schemes"))
    parser.add_argument("--page", type=Path, default=Path("runs/schemes.md"))
    given = parser.parse_args()
    rows, speeds = [], []
    for model in sorted(given.models.glob("*.onnx")):
        studies = {target: studied(model, target, given) for target in TARGETS}
        rows += [accuracy_row(model.stem, target, studies[target]) for target in TARGETS]
        speeds.append(speed_row(model, studies, given.calib))
        last = studies[TARGETS[-1]]
        given.page.write_text(page(rows, speeds, last, studies), encoding="utf-8")
        print(rows[-2], rows[-1], speeds[-1], sep="\n", flush=True)


def studied(model: Path, target: str, given: argparse.Namespace) -> StudyResult:
    return calibrant.study(
        model,
        given.calib,
        given.data,
        out=given.out / f"{model.stem}-{target}",
        calibrators=CALIBRATORS,
        limit=given.limit,
        calib_limit=given.calib_limit,
        scheme=target,
        runtime=target,
        race=False,  # each on all images
    )


def accuracy_row(model: str, target: str, study: StudyResult) -> str:
    cells = [f"{study.baseline.accuracy.map50_95:.1f}", *(points(study.trial(c)) for c in CALIBRATORS)]
    return f"| {model} | {target} | " + " | ".join(cells) + " |"


def points(trial: Trial) -> str:
    if trial.accuracy is None or trial.drop is None:
        return "failed"
    return f"{trial.accuracy.map50_95:.1f} ({trial.drop.low:.1f} to {trial.drop.high:.1f})"


def speed_row(model: Path, studies: dict[str, StudyResult], calib: str) -> str:
    files = {}
    for target, study in studies.items():
        files[target, "FP32"] = model
        files[target, "INT8"] = Path(study.out) / "minmax.qdq.onnx"
    fastest = interleaved(files, first_inputs(model, calib))
    cells = []
    for target in TARGETS:
        float_, int8 = fastest[target, "FP32"], fastest[target, "INT8"]
        cells += [f"{float_:.1f}", f"{int8:.1f}", f"{float_ / int8:.2f}"]
    return f"| {model.stem} | " + " | ".join(cells) + " |"


def interleaved(files: dict[tuple[str, str], Path], feeds: Feeds) -> dict[tuple[str, str], float]:
    """Milliseconds of the fastest run of each, in turns, so that what else the machine does hits all."""
    sessions: dict[tuple[str, str], Session] = {
        key: runtime_named(f"{key[0]}:workers=1").open(file) for key, file in files.items()
    }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in sessions}
    for _ in range(ROUNDS):
        for key, session in sessions.items():
            started = time.perf_counter()
            session.run(feeds)
            seconds[key].append(time.perf_counter() - started)
    for session in sessions.values():
        session.close()
    return {key: 1000 * float(np.min(found)) for key, found in seconds.items()}


def first_inputs(model: Path, calib: str) -> Feeds:
    detector = open_detector(model)
    samples = open_calibration(calib, 1, False).samples
    task = detection_task(detector, StudySettings())
    return next(iter(model_inputs(model, task, runtime_named(REFERENCE), samples)))


def page(rows: list[str], speeds: list[str], last: StudyResult, studies: dict[str, StudyResult]) -> str:
    versions = ", ".join(f"{target} {studies[target].environment[target]}" for target in TARGETS)
    flags = ", ".join(name for name in INSTRUCTION_SETS if name in processor_flags())
    return "\n".join([
        f"mAP 50-95, points; in brackets the 95 % interval of the drop. {last.data.calibration_images} "
        f"calibration and {last.data.test_images} test images. {versions}.",
        "",
        "| model | scheme and runtime | FP32 | " + " | ".join(CALIBRATORS) + " |",
        "|" + "---|" * (3 + len(CALIBRATORS)),
        *rows,
        "",
        f"Milliseconds on one thread, the fastest of {ROUNDS} runs in turns; INT8 is minmax's. "
        f"{processor_name()} ({flags}).",
        "",
        "| model | " + " | ".join(f"{t} FP32 | INT8 | speed-up" for t in TARGETS) + " |",
        "|" + "---|" * (1 + 3 * len(TARGETS)),
        *speeds,
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
