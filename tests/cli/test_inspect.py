"""``calibrant inspect``: it describes every ONNX file, also those that cannot be studied."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from outcomes import Run
from toy_detector import ROWS, detector, saved


def test_a_detector_is_described(run: Run) -> None:
    told = json.loads(run("inspect", "m.onnx", "--json").out)
    assert told["family"] == "yolov5"
    assert "1x252x7" in told["family_reason"]
    assert told["inputs"] == [{"name": "images", "shape": [1, 3, 64, 64], "dtype": "float32"}]
    assert told["outputs"] == [{"name": "output0", "shape": [1, ROWS, 7], "dtype": "float32"}]
    assert (told["quantized"], told["operators"]["Conv"]) == ({"Conv": 2}, 2)
    assert told["macs"] == told["quantized_macs"] == 8 * 8 * (2 * 3 * 8 * 8 + 3 * 2)
    assert told["obstacle"] is None


def test_people_read_the_same(run: Run) -> None:
    answer = run("inspect", "m.onnx")
    for words in ("opset 13", "images 1x3x64x64 float32", "family  yolov5", "2 convolutions", "2 Conv"):
        assert words in answer.out


def test_a_size_can_be_given(run: Run, work: Path) -> None:
    saved(detector(side="size"), work / "open.onnx")
    assert json.loads(run("inspect", "open.onnx", "--json").out)["macs"] is None
    told = json.loads(run("inspect", "open.onnx", "--json", "--imgsz", 64).out)
    assert (told["family"], told["macs"] > 0) == ("yolov5", True)


@pytest.mark.parametrize("given", [("--imgsz", "64x96"), ("--imgsz=64x96",), ("--input-shape", "64x96")])
def test_a_rectangle_can_be_given_by_either_name(run: Run, work: Path, given: tuple[str, ...]) -> None:
    saved(detector(side="size"), work / "open.onnx")
    plain = json.loads(run("inspect", "open.onnx", "--json", "--imgsz", 64).out)
    assert json.loads(run("inspect", "open.onnx", "--json", *given).out)["macs"] > plain["macs"]


@pytest.mark.usefixtures("work")
def test_a_quantized_model_is_described(run: Run) -> None:
    assert run("calibrate", "m.onnx", "--calib", "calib", "--calibrators", "minmax", "--out", "out").code == 0
    told = json.loads(run("inspect", "out/minmax.qdq.onnx", "--json").out)
    assert (told["family"], told["quantized"]) == ("yolov5", {})
    assert "quantized already" in told["obstacle"]


def test_a_model_without_image_is_described(run: Run, work: Path) -> None:
    weights = numpy_helper.from_array(np.ones((10, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], name="layer")],
        "table",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [weights],
    )
    saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), work / "table.onnx")
    told = json.loads(run("inspect", "table.onnx", "--json").out)
    assert (told["family"], told["quantized"]) == (None, {"Gemm": 1})
    assert "no input takes an image" in told["family_reason"]


def test_a_named_family_must_fit(run: Run) -> None:
    assert "choose another --family" in run("inspect", "m.onnx", "--family", "fastestdet").error


# --- one sample ------------------------------------------------------------------------------------


def test_what_is_read_from_one_image_is_drawn(run: Run, work: Path) -> None:
    image = next((work / "calib").iterdir())
    answer = run("inspect", "m.onnx", "--sample", image, "--out", "reading.png")
    assert answer.code == 0
    assert "boxes that score 0.25 or more:" in answer.out
    assert "drawn in reading.png" in answer.out
    drawn, plain = (cv2.imread(str(path)) for path in (work / "reading.png", image))
    assert drawn is not None
    assert plain is not None
    assert drawn.shape == plain.shape
    assert not np.array_equal(drawn, plain)


def test_what_speaks_against_a_family_is_told_and_drawn(run: Run, work: Path) -> None:
    (work / "wrong.yaml").write_text("output: {decoder: rows, units: fraction}\n")
    image = next((work / "calib").iterdir())
    told = json.loads(run("inspect", "m.onnx", "--family", "wrong.yaml", "--sample", image, "--json").out)
    assert "so they are pixels, not fractions of the image" in told["sample"]["doubt"]
    assert (work / told["sample"]["picture"]).is_file()


@pytest.mark.parametrize("out", ["image.jpg", "calib/0.png"])
def test_no_image_is_drawn_over(run: Run, work: Path, out: str) -> None:
    image = work / "calib" / "0.png"
    next((work / "calib").iterdir()).rename(image)
    before = image.read_bytes()
    answer = run("inspect", "m.onnx", "--sample", "calib/0.png", "--out", out)
    assert answer.code == 2
    assert image.read_bytes() == before
