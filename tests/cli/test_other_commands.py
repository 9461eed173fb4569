"""``calibrant calibrate`` and ``calibrant evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from outcomes import Run

CALIBRATE = ("calibrate", "m.onnx", "--calib", "calib", "--out", "out")


def test_calibrate_writes_three_files_a_calibrator(run: Run, work: Path) -> None:
    answer = run(*CALIBRATE, "--calibrators", "minmax,percentile:99.9|99.99")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("4 images, 2 tensors\nminmax: out/minmax.cache, out/minmax.qdq.onnx\n")
    stems = ("minmax", "percentile-99.9", "percentile-99.99")
    assert {path.name for path in (work / "out").iterdir()} == {
        f"{stem}.{suffix}" for stem in stems for suffix in ("cache", "encodings.json", "qdq.onnx")
    }


def test_all_calibrators_are_the_default(run: Run) -> None:
    told = json.loads(run(*CALIBRATE, "--json").out)
    names = [candidate["calibrator"] for candidate in told["candidates"]]
    assert names[0] == "minmax"
    assert {"entropy2", "entropy", "legacy", "percentile:99.99", "mse"} <= set(names)
    assert (told["samples"], told["tensors"], told["family"]) == (4, 2, "yolov5")


def test_all_tensors_can_be_asked_for(run: Run, work: Path) -> None:
    assert run(*CALIBRATE, "--calibrators", "minmax", "--tensors", "all").code == 0
    names = [line.split(": ")[0] for line in (work / "out/minmax.cache").read_text().splitlines()[1:]]
    boxes, nothing = (f"(Unnamed Layer* {index}) [Constant]_output" for index in (6, 8))
    seen = ["images", "mean", "hue", "logits", "scores", "by_class", "by_cell"]
    assert names == [*seen, boxes, "found", nothing, "output0"]


@pytest.mark.parametrize("name", ["one.npy", "one.npz"])
def test_arrays_calibrate(run: Run, work: Path, name: str) -> None:
    array = np.linspace(0, 0.5, 2 * 3 * 64 * 64, dtype=np.float32).reshape(2, 3, 64, 64)
    (np.save if name.endswith("npy") else np.savez)(work / name, array)
    assert run("calibrate", "m.onnx", "--calib", name, "--out", "out", "--calibrators", "minmax").code == 0
    scale = (work / "out/minmax.cache").read_text().splitlines()[1].removeprefix("images: ")
    assert np.frombuffer(bytes.fromhex(scale), ">f4")[0] == pytest.approx(0.5 / 127)


@pytest.mark.parametrize("source", ["calib/*.png", "list.txt", "calib/1-00.png"])
def test_other_ways_to_name_images(run: Run, work: Path, source: str) -> None:
    (work / "list.txt").write_text("calib/1-01.png\n# a remark\ncalib/1-00.png\n")
    told = json.loads(run("calibrate", "m.onnx", "--calib", source, "--out", "out", "--json").out)
    assert told["samples"] == {"calib/*.png": 4, "list.txt": 2, "calib/1-00.png": 1}[source]


def test_calib_limit(run: Run) -> None:
    assert json.loads(run(*CALIBRATE, "--json", "--calib-limit", 2).out)["samples"] == 2


def test_a_score_that_is_undefined_is_no_success(run: Run, work: Path) -> None:
    labels = next((work / "test").glob("*.json"))
    content = json.loads(labels.read_text("utf-8"))
    for found in content["annotations"]:
        found["iscrowd"] = 1
    labels.write_text(json.dumps(content), "utf-8")
    answer = run("evaluate", "m.onnx", "--data", "test")
    assert answer.code == 1
    assert "mAP is undefined: the test set has no label to find" in answer.err
    told = run("evaluate", "m.onnx", "--data", "test", "--json")
    assert (told.code, json.loads(told.out)["score"]["value"]) == (1, None)


def test_evaluate_scores_float_and_quantized_models(run: Run) -> None:
    assert run(*CALIBRATE, "--calibrators", "minmax").code == 0
    for model in ("m.onnx", "out/minmax.qdq.onnx"):
        told = json.loads(run("evaluate", model, "--data", "test", "--json").out)
        assert told["map50_95"] == told["map50"] == told["map_small"] == 100
        assert told["map_large"] is None
        assert (told["samples"], told["family"]) == (30, "yolov5")
    answer = run("evaluate", "m.onnx", "--data", "test/labels.json", "--limit", 3)
    assert "3 images" in answer.out
    assert "map50_95     100.00" in answer.out
