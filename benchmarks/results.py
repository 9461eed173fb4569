"""Study every ONNX detector of a folder and write the figures as a page of Markdown.

python benchmarks/results.py MODELS --calib DIR --data DATASET --out runs/results --page docs/results.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import calibrant
from calibrant.studies.result import StudyResult, Trial


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/results"))
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"))
    given = parser.parse_args()
    results: list[StudyResult] = []
    for model in sorted(given.models.glob("*.onnx")):
        print(model.name, flush=True)
        results.append(
            calibrant.study(model, given.calib, given.data, out=given.out / model.stem, race=False)
        )
    given.page.write_text(page(results), encoding="utf-8")


def page(results: list[StudyResult]) -> str:
    first = results[0]
    environment = first.environment
    return "\n".join([
        "# Results on real detectors",
        "",
        "COCO mAP 50-95 in points, Q/DQ at convolutions (scheme `tensorrt`: int8, per-tensor activations, "
        "per-channel weights), "
        f"{first.data.calibration_samples} calibration images of train2017, "
        f"{first.data.test_samples} images of val2017 ({first.data.facts['boxes']} boxes), "
        f"ONNX Runtime {environment['onnxruntime']} on a CPU.",
        "",
        "The best is bold; `*` marks the recommended one: the simplest of those that are indistinguishable "
        "from the best.",
        "",
        *ranking(results),
        "",
        "## Losses, with 95 % intervals",
        "",
        *losses(results),
        "",
        "## What the tables say",
        "",
        *(f"- **{name(r)}**: {verdict(r)}." for r in results),
        "",
        "## The command",
        "",
        "```sh",
        "python benchmarks/results.py MODELS --calib train2017 --data instances_val2017_300.json",
        "```",
        "",
        "which runs `calibrant study MODEL --calib … --data … --no-race` for every model. "
        f"Measured on {environment['cpu']}, {environment['cores']} cores, Python {environment['python']}, "
        f"OpenCV {environment['opencv-python-headless']}, numpy {environment['numpy']}, "
        f"hotcoco {environment['hotcoco']}; {first.created[:10]}.",
        "",
    ])  # fmt: skip


def ranking(results: list[StudyResult]) -> list[str]:
    rows = [header("", results), row("FP32", [f"{r.baseline.score.value:.1f}" for r in results])]
    return rows + [row(c, [accuracy(r, r.trial(c)) for r in results]) for c in calibrators(results)]


def losses(results: list[StudyResult]) -> list[str]:
    return [
        header("", results),
        *(row(c, [interval(r.trial(c)) for r in results]) for c in calibrators(results)),
    ]


def calibrators(results: list[StudyResult]) -> list[str]:
    return [trial.calibrator for trial in results[0].trials]


def header(corner: str, results: list[StudyResult]) -> str:
    return row(corner, [name(r) for r in results]) + "\n|" + "---|" * (len(results) + 1)


def row(head: str, cells: list[str]) -> str:
    return f"| {head} | " + " | ".join(cells) + " |"


def name(result: StudyResult) -> str:
    return Path(result.model.path).stem


def accuracy(result: StudyResult, trial: Trial) -> str:
    if trial.value is None:
        return "failed"
    points = trial.value
    best = max(t.value for t in result.trials if t.value is not None)
    mark = "*" if result.recommended and result.recommended.calibrator == trial.calibrator else ""
    return f"**{points:.1f}**{mark}" if points == best else f"{points:.1f}{mark}"


def interval(trial: Trial) -> str:
    return (
        f"{trial.loss.value:.1f} ({trial.loss.low:.1f} to {trial.loss.high:.1f})" if trial.loss else "failed"
    )


def verdict(result: StudyResult) -> str:
    if result.recommended is None:
        return "no candidate could be measured"
    return f"use {result.recommended.calibrator}: {result.recommended.reason}"


if __name__ == "__main__":
    main()
