"""Calibrant beside other tools: seconds, memory and mAP of the model that comes out, as a page of Markdown.

    pip install calibrant                                    # this environment
    python -m venv nncf && nncf/bin/pip install nncf onnx onnxruntime
    python -m venv onnxsim && onnxsim/bin/pip install onnxsim onnx onnxruntime
    python benchmarks/peers.py yolov5n_640.onnx yolox_nano_416.onnx --calib train2017 \\
        --data instances_val2017_300.json --python nncf=nncf/bin/python --python onnxsim=onnxsim/bin/python

Every tool runs alone in a process, on the same model and inputs, with Q/DQ pairs at the same convolutions as
far as its options go. A tool without a Python of its own runs in this one, and is left out where that lacks
it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from decode import milliseconds
from synthetic import synthetic
from workload import workload

import calibrant.api
from calibrant.core.errors import CalibrantError
from calibrant.core.processor import processor_name
from studies import Run, measured
from studies import table as studies_table

HERE = Path(__file__).parent
FEW_IMAGES = 32
TAKES_FEW = ("ort-entropy", "ort-percentile", "onnxsim")
"""ONNX Runtime's Entropy and Percentile keep every activation; onnxsim needs seconds an image."""

TOOLS = {
    "calibrant-statistics": "Calibrant, statistics for all calibrators",
    "calibrant": "Calibrant, all calibrators' models",
    "ort-minmax": "ONNX Runtime MinMax",
    "ort-percentile": "ONNX Runtime Percentile",
    "ort-entropy": "ONNX Runtime Entropy",
    "onnxsim": "onnxsim pick_calibration (six methods)",
    "nncf": "NNCF quantize",
}
PACKAGES = {"nncf": "nncf", "onnxsim": "onnxsim"}
COUNTS = (32, 128, 1024)
SYNTHETIC = ((320, 16), (640, 16), (1280, 16), (320, 64))
"""Pixels a side and channels of the first stage."""

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=128, help="to calibrate with (128)")
    parser.add_argument("--limit", type=int, help="only the first test images")
    parser.add_argument("--python", action="append", default=[], metavar="TOOL=PATH")
    parser.add_argument("--page", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--no-growth", action="store_true", help="leave the growth out")
    parser.add_argument("--growth", type=Path, help="the model whose growth with images is measured")
    given = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in given.python)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            model.stem: list(peers(model, given, pythons, Path(folder) / model.stem))
            for model in given.models
        }
        growth = [] if given.no_growth else list(grown(given, Path(folder)))
    studies = {
        model.stem: list(measured(model, given.calib, given.data, given.limit)) for model in given.models
    }
    boxes = {model.stem: milliseconds(model, Path(given.data), 40, 5) for model in given.models}
    given.page.write_text(page(given, found, growth, studies, boxes), encoding="utf-8")


def peers(model: Path, given: argparse.Namespace, pythons: Mapping[str, str], folder: Path) -> Iterator[Row]:
    inputs = folder / "inputs"
    save_inputs(model, given.calib, given.images, inputs)
    model = in_opset_of_pairs(model, folder)
    alone("calibrant", model, inputs, folder / "warm", 2)  # loads from disk, and compiles what numba compiles
    bare = alone("fp32", model, inputs, folder / "fp32", given.images)
    yield {**bare, "map": points(model, model, given)}
    for tool in TOOLS:
        python = pythons.get(tool, sys.executable)
        package = PACKAGES.get(tool)
        if package and tool not in pythons and importlib.util.find_spec(package) is None:
            continue
        images = min(given.images, FEW_IMAGES) if tool in TAKES_FEW else given.images
        out = folder / f"{tool}.onnx"
        try:
            row = alone(tool, model, inputs, out, images, python)
        except subprocess.CalledProcessError as error:
            yield {"tool": tool, "images": images, "failure": error.stderr.strip().splitlines()[-1]}
            continue
        yield {
            **row,
            "over_bare": row["peak_mib"] - bare["peak_mib"],
            "map": result_of(tool, out, model, given),
        }


def in_opset_of_pairs(model: Path, folder: Path) -> Path:
    """The model in the opset that pairs by channel need, which not every tool raises."""
    loaded = onnx.load(model)
    if max(entry.version for entry in loaded.opset_import if entry.domain in ("", "ai.onnx")) >= 13:
        return model
    onnx.save(onnx.version_converter.convert_version(loaded, 13), folder / model.name)
    return folder / model.name


def result_of(tool: str, out: Path, model: Path, given: argparse.Namespace) -> str:
    if tool == "calibrant-statistics":
        return ""
    if tool == "calibrant":
        found = {
            path.name.removesuffix(".qdq.onnx"): points(path, model, given) for path in out.glob("*.qdq.onnx")
        }
        ranked = sorted(found.items(), key=lambda item: -item[1])
        return f"{ranked[0][1]:.1f} ({ranked[0][0]}) to {ranked[-1][1]:.1f} ({ranked[-1][0]})"
    try:
        return f"{points(out, model, given):.1f}"
    except CalibrantError as error:
        return f"none: {error}"


def points(candidate: Path, model: Path, given: argparse.Namespace) -> float:
    """mAP of any quantized model, read as its float model is."""
    family = calibrant.api.inspect(model).family or "auto"
    found = calibrant.api.evaluate(candidate, given.data, family=family, limit=given.limit)
    return found.figures["map50_95"] or 0.0


def grown(given: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Collecting for all calibrators, as images, pixels and weights grow."""
    model = given.growth or given.models[0]
    inputs = folder / model.stem / "inputs"
    for count in COUNTS:
        yield growth_row(f"{model.stem}, {count} images", model, inputs, folder, count)
    for side, width in SYNTHETIC:
        made = synthetic(folder / f"synthetic_{side}_{width}.onnx", side, width)
        random = folder / f"random_{side}"
        random.mkdir(exist_ok=True)
        for index in range(4):
            values = np.random.default_rng(index).random((1, 3, side, side), np.float32)
            np.save(random / f"{index}.npy", values)
        weights = sum(int(np.prod(tensor.dims)) for tensor in onnx.load(made).graph.initializer) / 1e6
        yield growth_row(f"synthetic, {side} pixels, {weights:.1f} M weights", made, random, folder, 8)


def growth_row(label: str, model: Path, inputs: Path, folder: Path, count: int) -> Row:
    bare = alone("fp32", model, inputs, folder / "bare", count)
    row = alone("calibrant-statistics", model, inputs, folder / "statistics.npz", count)
    return {**row, "label": label, "over_bare": row["peak_mib"] - bare["peak_mib"]}


def alone(tool: str, model: Path, inputs: Path, out: Path, images: int, python: str = sys.executable) -> Row:
    command = [python, str(HERE / "contender.py"), tool, str(model), str(inputs), str(out)]
    done = subprocess.run(
        [*command, "--images", str(images)], check=True, capture_output=True, text=True
    )  # fmt: skip
    row: Row = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{model.stem:20} {tool:22} {row['seconds']:8.1f} s  {row['peak_mib']:6.0f} MiB", flush=True)
    return row


def save_inputs(model: Path, images: str, count: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    for index, feeds in enumerate(workload(model, images, count, distinct=count).feeds):
        np.save(folder / f"{index}.npy", next(iter(feeds.values())))


def page(
    given: argparse.Namespace,
    peers_of: Mapping[str, Sequence[Row]],
    growth: Sequence[Row],
    studies: Mapping[str, Sequence[Run]],
    boxes: Mapping[str, tuple[float, float]],
) -> str:
    rows = [row for found in peers_of.values() for row in found]
    versions = {row["package"]: row["version"] for row in rows if "package" in row}
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return "\n".join([
        "# Benchmarks",
        "",
        "Every tool alone in a process, on the same model and inputs, held against T: plain FP32 inference",
        "of ONNX Runtime's default session over the same inputs, in that process, before and after; the",
        "lesser counts. Seconds include opening the model and writing what comes out; memory is the",
        "process's peak over that of bare inference. On a machine with other work on it the ratio by CPU",
        "time is the one to trust. ONNX Runtime's Percentile and Entropy keep every",
        "activation, and onnxsim needs more than a second for each image, so that these three got",
        f"{FEW_IMAGES} images at most. onnxsim places its pairs by rules of its own and stores activations",
        "in uint8.",
        "",
        f"mAP is of {given.limit or 'all'} test images, which tells tools apart that are far apart.",
        "",
        f"Machine: {processor_name()}, {os.cpu_count()} cores; load average at the end {load}.",
        f"Python {platform.python_version()}, {named}.",
        "",
        *(line for model, found in peers_of.items() for line in table(model, found)),
        "## Growth",
        "",
        "Collecting the statistics for all calibrators; the synthetic models are stacks of convolutions.",
        "",
        "| | images | seconds | T | T, by CPU time | MiB over bare |",
        "| --- | --- | --- | --- | --- | --- |",
        *(line_of(row["label"], row) for row in growth),
        "",
        "## Whole studies",
        "",
        "Eight calibrators, 128 calibration images; every figure is of a command from start to exit.",
        "",
        *(line for model, runs in studies.items() for line in (f"{model}:", "", *studies_table(runs), "")),
        "## Boxes and score",
        "",
        "CPU milliseconds of one thread an image, from raw outputs in memory (`benchmarks/decode.py`).",
        "",
        "| | decoding and NMS | COCO's score |",
        "| --- | --- | --- |",
        *(f"| {model} | {decoding:.1f} | {score:.1f} |" for model, (decoding, score) in boxes.items()),
        "",
        "## The command",
        "",
        "```sh",
        "python benchmarks/peers.py MODELS --calib train2017 --data instances_val2017_300.json",
        "```",
        "",
        "Its `--help` says how to install the other tools.",
        "",
    ])  # fmt: skip


def table(model: str, found: Sequence[Row]) -> Iterator[str]:
    yield from (f"## {model}", "", f"FP32: {found[0]['map']:.1f} mAP.", "")
    yield "| | images | seconds | T | T, by CPU time | MiB over bare | mAP |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for row in found[1:]:
        name = TOOLS[row["tool"]]
        if "failure" in row:
            yield f"| {name} | {row['images']} | failed: {row['failure']} | | | | |"
        else:
            yield f"{line_of(name, row)} {row['map']} |"
    yield ""


def line_of(name: str, row: Row) -> str:
    ratio = row["seconds"] / row["t"]
    cpu = row["cpu"] / row["t_cpu"]
    return (
        f"| {name} | {row['images']} | {row['seconds']:.1f} | {ratio:.1f} | {cpu:.1f} | "
        f"{row['over_bare']:+.0f} |"
    )


if __name__ == "__main__":
    main()
