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

import calibrant.api

TARGETS = {"tensorrt:yolov5n_640": 0.5, "onnxruntime:yolov5n_640": 0.3, "openvino:yolov5n_640": 0.3}
Result = dict[str, Any]


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


def optimized(model: Path, scheme: str, given: argparse.Namespace) -> Result:
    out = given.out / scheme / model.stem
    if not (out / "optimization.json").exists():
        print(scheme, model.name, flush=True)
        calibrant.api.optimize(
            model,
            given.calib,
            given.data,
            out=out,
            budget=given.budget,
            scheme=scheme,
            max_drop=TARGETS.get(f"{scheme}:{model.stem}", 1.0),
        )
    content: Result = json.loads((out / "optimization.json").read_text(encoding="utf-8"))
    return content


def page(results: list[Result], rivals: list[Result], budget: str, remark: str) -> str:
    first = results[0]
    environment = first["environment"]
    return "\n".join([
        "# Optimized models, measured",
        "",
        f"Scheme `tensorrt` where no other is named; {first['calibration_images']} calibration images; "
        f"models chosen on {first['select_images']} images of val2017 and reported on "
        f"{first['report_images']} others that the "
        f"search never looked at. mAP 50-95 in points; drops are against the float "
        "model on the same images, with 95 % intervals.",
        "",
        "| model | FP32 | best calibrator | optimized | drop | target | in INT8 | won over the calibrator |",
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
        "Expected and hardly exceeded: what the search told in advance from agreement, points.",
        "",
        "| model | recipe | in INT8 | mAP | drop | drop while choosing | expected | hardly exceeded |",
        "|---|---|---|---|---|---|---|---|",
        *(line for result in results for line in front(result)),
        "",
        "## Recipes",
        "",
        *(f"- **{name(r)}**: {r['chosen']['explanation']} ({r['models_measured']} models measured in "
          f"{r['seconds']:.0f} s)" for r in results),
        "",
        "## The command",
        "",
        "```sh",
        "python benchmarks/optimize.py MODELS --calib train2017 --data instances_val2017_300.json "
        f"--budget {budget} --also onnxruntime:yolov5n_640 --also openvino:yolov5n_640",
        "```",
        "",
        f"Measured on {environment['cpu']}, {environment['cores']} cores, ONNX Runtime "
        f"{environment['onnxruntime']}; {first['created'][:10]}. {remark}".rstrip(),
        "",
    ])  # fmt: skip


def summary(result: Result) -> str:
    chosen, single = result["chosen"], result["best_single"]
    gain, low, high = result["gain_over_single"]
    kept = "kept" if result["is_met"] else "missed"
    cells = (
        name(result),
        points(result["float_report"]["map50_95"]),
        f"{points(single['report']['map50_95'])} ({single['recipe']['calibrator']})",
        f"**{points(chosen['report']['map50_95'])}**",
        loss(chosen["report"]),
        f"{result['max_drop']:g}, {kept}",
        f"{100 * chosen['int8_share']:.1f} %",
        f"{points(gain)} ({points(low)} to {points(high)})",
    )
    return row(cells)


def beside_nncf(results: list[Result], rivals: list[Result]) -> list[str]:
    """What NNCF's accuracy control reached with the same images and target; nothing where none was run."""
    if not rivals:
        return []
    ours = {name(result): result for result in results}
    return [
        f"## Beside NNCF {rivals[0]['nncf']}",
        "",
        "`quantize_with_accuracy_control`, validated on the images that Calibrant chooses on, measured on "
        "the others. It may give activations a scale for each channel, which TensorRT does not take.",
        "",
        "| model | target | NNCF: drop | in INT8 | activations by channel | seconds "
        "| Calibrant: drop | in INT8 | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
        *(rival_row(rival, ours[rival["model"]]) for rival in rivals if rival["model"] in ours),
        "",
    ]


def rival_row(rival: Result, own: Result) -> str:
    theirs = (
        ("none in its time", "", "")
        if "drop" not in rival
        else (
            points(rival["drop"]) + ("" if rival["finished"] else " (when its time was up)"),
            f"{100 * rival['int8_share']:.1f} %",
            str(rival["per_channel_activations"]),
        )
    )
    return row(
        (
            rival["model"],
            f"{own['max_drop']:g}",
            *theirs,
            f"{rival['seconds']:.0f}",
            points(own["chosen"]["report"]["drop"]),
            f"{100 * own['chosen']['int8_share']:.1f} %",
            f"{own['seconds']:.0f}",
        )
    )


def ablation(result: Result) -> list[str]:
    return [
        row(
            (
                name(result),
                technique["technique"],
                points(technique["map50_95"]),
                f"{points(technique['gain'])} ({points(technique['low'])} to {points(technique['high'])})",
            )
        )
        for technique in result["ablation"]
    ]


def front(result: Result) -> list[str]:
    return [
        row(
            (
                name(result),
                point["name"],
                f"{100 * point['int8_share']:.1f} %",
                points(point["report"]["map50_95"]),
                loss(point["report"]),
                points(point["select"]["drop"]),
                points(point["expected"]),
                points(point["at_most"]),
            )
        )
        for point in result["front"]
    ]


def name(result: Result) -> str:
    scheme, stem = result["settings"]["scheme"], Path(result["model"]["path"]).stem
    return stem if scheme == "tensorrt" else f"{stem} ({scheme})"


def loss(figures: Result) -> str:
    return f"{points(figures['drop'])} ({points(figures['low'])} to {points(figures['high'])})"


def points(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}"


def row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
