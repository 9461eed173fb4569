"""Optimize every ONNX detector of a folder and write the figures as a page of Markdown.

python benchmarks/optimize.py MODELS --calib DIR --data DATASET --out runs/optimize --page PAGE.md \\
    --also onnxruntime:yolov5n_640 --also openvino:yolov5n_640

MODELS is a folder or a file; --also adds a model beside it under another scheme. Models whose folder in OUT
holds an optimization.json are not searched again. --nncf takes what optimize_nncf.py printed, a file a model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import calibrant
from calibrant.core.metrics import Loss
from calibrant.studies.optimization.result import (
    OptimizationResult,
    PartResult,
    Point,
    read_optimization,
)

TARGETS = {"tensorrt:yolov5n_640": 0.5, "onnxruntime:yolov5n_640": 0.3, "openvino:yolov5n_640": 0.3}
TITLE = "# Optimized models, measured"
Rival = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--also", action="append", default=[], metavar="SCHEME:MODEL")
    parser.add_argument("--out", type=Path, default=Path("runs/optimize"))
    parser.add_argument("--page", type=Path, default=Path("docs/optimize-results.md"))
    parser.add_argument("--nncf", type=Path, nargs="*", default=[], metavar="JSON")
    parser.add_argument("--remark", default="", help="what a reader should know of this run")
    given = parser.parse_args()
    files = sorted(given.models.glob("*.onnx")) if given.models.is_dir() else [given.models]
    also = [one.split(":", 1) for one in given.also]
    jobs = [*(("tensorrt", file) for file in files), *((scheme, files[0].with_stem(m)) for scheme, m in also)]
    results = [optimized(file, scheme, given) for scheme, file in jobs]
    rivals = [json.loads(path.read_text(encoding="utf-8").splitlines()[-1]) for path in given.nncf]
    given.page.write_text(page(results, rivals, given.budget, given.remark), encoding="utf-8")


def optimized(model: Path, scheme: str, given: argparse.Namespace) -> OptimizationResult:
    out = given.out / scheme / model.stem
    if (out / "optimization.json").exists():
        return read_optimization(out / "optimization.json")
    print(scheme, model.name, flush=True)
    return calibrant.optimize(
        model,
        given.calib,
        given.data,
        out=out,
        budget=given.budget,
        scheme=scheme,
        max_loss=TARGETS.get(f"{scheme}:{model.stem}", 1.0),
    )


def page(results: list[OptimizationResult], rivals: list[Rival], budget: str, remark: str) -> str:
    first = results[0]
    environment = first.environment
    return "\n".join([
        TITLE,
        "",
        f"Scheme `tensorrt` where no other is named; {first.calibration_samples} calibration images; "
        f"models chosen on {first.select_samples} images of val2017 and reported on {first.report_samples} "
        "others that the search never looked at. mAP 50-95 in points; losses are against the float model on "
        "the same images, with 95 % intervals.",
        "",
        "| model | FP32 | best calibrator | optimized | lost | target | in INT8 "
        "| gained over the calibrator |",
        "|---|---|---|---|---|---|---|---|",
        *map(summary, results),
        "",
        *(line for line in beside_nncf(results, rivals)),
        "## What each technique brings",
        "",
        "The chosen model without the technique, on the report images.",
        "",
        "| model | technique | without it | it brings |",
        "|---|---|---|---|",
        *(line for result in results for line in ablation(result)),
        "",
        "## The fronts",
        "",
        "Expected loss and its upper bound (80 %): what the search predicted from agreement, points.",
        "",
        "| model | recipe | in INT8 | mAP | lost | lost while choosing | expected | upper bound |",
        "|---|---|---|---|---|---|---|---|",
        *(line for result in results for line in front(result)),
        "",
        "## Recipes",
        "",
        *(f"- **{name(r)}**: {r.chosen.explanation} ({r.models_measured} models measured in "
          f"{r.seconds:.0f} s)" for r in results),
        "",
        "## The command",
        "",
        "```sh",
        "python benchmarks/optimize.py MODELS --calib train2017 --data instances_val2017_300.json "
        f"--budget {budget} --also onnxruntime:yolov5n_640 --also openvino:yolov5n_640",
        "```",
        "",
        f"Measured on {environment['cpu']}, {environment['cores']} cores, ONNX Runtime "
        f"{environment['onnxruntime']}; {first.created[:10]}. {remark}".rstrip(),
        "",
    ])  # fmt: skip


def summary(result: OptimizationResult) -> str:
    chosen, single = reported(result.chosen), reported(result.best_single)
    kept = "kept" if result.is_met else "missed"
    cells = (
        name(result),
        points(result.float_report.value),
        f"{points(single.value)} ({result.best_single.recipe['calibrator']})",
        f"**{points(chosen.value)}**",
        lost(chosen.loss),
        f"{result.max_loss:g}, {kept}",
        f"{100 * result.chosen.int8_share:.1f} %",
        lost(result.gain_over_single),
    )
    return row(cells)


def beside_nncf(results: list[OptimizationResult], rivals: list[Rival]) -> list[str]:
    """What NNCF's accuracy control reached with the same images and target; nothing where none was run."""
    if not rivals:
        return []
    ours = {name(result): result for result in results}
    return [
        f"## Beside NNCF {rivals[0]['nncf']}",
        "",
        "`quantize_with_accuracy_control`, validated on the images that Calibrant chooses on, measured on "
        "the others. It may give activations a scale for each channel, which TensorRT does not accept.",
        "",
        "| model | target | NNCF: lost | in INT8 | activations by channel | seconds "
        "| Calibrant: lost | in INT8 | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
        *(rival_row(rival, ours[rival["model"]]) for rival in rivals if rival["model"] in ours),
        "",
    ]


def rival_row(rival: Rival, own: OptimizationResult) -> str:
    theirs = (
        ("none in its time", "", "")
        if "lost" not in rival
        else (
            points(rival["lost"]) + ("" if rival["finished"] else " (when its time was up)"),
            f"{100 * rival['int8_share']:.1f} %",
            str(rival["per_channel_activations"]),
        )
    )
    return row(
        (
            rival["model"],
            f"{own.max_loss:g}",
            *theirs,
            f"{rival['seconds']:.0f}",
            points(reported(own.chosen).loss.value),
            f"{100 * own.chosen.int8_share:.1f} %",
            f"{own.seconds:.0f}",
        )
    )


def ablation(result: OptimizationResult) -> list[str]:
    return [
        row((name(result), without.technique, points(without.value), lost(without.gain)))
        for without in result.ablation
    ]


def front(result: OptimizationResult) -> list[str]:
    return [
        row(
            (
                name(result),
                point.name,
                f"{100 * point.int8_share:.1f} %",
                points(reported(point).value),
                lost(reported(point).loss),
                points(point.select.loss.value),
                points(point.expected),
                points(point.at_most),
            )
        )
        for point in result.front
    ]


def reported(point: Point) -> PartResult:
    assert point.report is not None
    return point.report


def name(result: OptimizationResult) -> str:
    scheme, stem = result.settings["scheme"], Path(result.model.path).stem
    return stem if scheme == "tensorrt" else f"{stem} ({scheme})"


def lost(loss: Loss) -> str:
    return f"{points(loss.value)} ({points(loss.low)} to {points(loss.high)})"


def points(value: float | None) -> str:
    return "undefined" if value is None else f"{round(value, 1) + 0.0:.1f}"


def row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
