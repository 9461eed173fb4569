"""What users get wrong: one line with the remedy, exit code 2, and no trace in the output folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from outcomes import Run
from toy_detector import detector, saved, weight, with_weight

from calibrant.cli import main

OPTIONS = {
    "study": ("--calib", "calib", "--data", "test", "--out", "out"),
    "calibrate": ("--calib", "calib", "--out", "out"),
    "evaluate": ("--data", "test"),
    "inspect": (),
}


# --- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("best.pt", b"PK\x03\x04", "yolo export model=best.pt format=onnx"),
        ("zip.onnx", b"PK\x03\x04", "torch.onnx.export"),
        ("empty.onnx", b"", "is empty"),
        ("text.onnx", b"no protobuf at all", "truncated, damaged or another format"),
    ],
)
@pytest.mark.parametrize("command", ["study", "calibrate", "evaluate", "inspect"])
def test_what_is_no_onnx_file(
    run: Run, work: Path, command: str, name: str, content: bytes, words: str
) -> None:
    (work / name).write_bytes(content)
    assert words in run(command, name, *OPTIONS[command]).error
    assert not (work / "out").exists()


def test_a_missing_model(study: Run) -> None:
    assert study(model="absent.onnx").error.startswith("no such file: 'absent.onnx'; ")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_model(study: Run, work: Path, share: float) -> None:
    content = (work / "m.onnx").read_bytes()
    (work / "m.onnx").write_bytes(content[: int(len(content) * share)])
    assert "truncated" in study().error
    assert not (work / "out").exists()


def test_a_quantized_model(run: Run, study: Run, work: Path) -> None:
    assert study().code == 0
    quantized = saved(onnx.load(work / "out/minmax.qdq.onnx"), work / "quantized.onnx")
    error = study(model=quantized, out="other").error
    assert "is quantized already: 8 quantized nodes" in error
    assert "give the float model" in error
    assert "quantized already" in run("calibrate", quantized, "--calib", "calib", "--out", "other").error
    assert not (work / "other").exists()


def test_a_model_without_image_input(study: Run, work: Path) -> None:
    model = detector()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    narrow = with_weight(model, "colour_w", weight(model, "colour_w")[:, :1])
    assert "does not take one colour image" in study(model=saved(narrow, work / "grey.onnx")).error


def test_an_unknown_family(study: Run, work: Path) -> None:
    weights = numpy_helper.from_array(np.ones((5, 3, 64, 64), np.float32), "w")
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
            helper.make_node("Flatten", ["c"], ["y"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        [weights],
    )
    saved(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), work / "c.onnx"
    )
    assert (
        "no known detector family has these outputs: y 1x5; name one with --family"
        in study("--task", "detection", model="c.onnx").error
    )


@pytest.mark.parametrize("family", ["yolox", "fastestdet", "nanodet", "yolov8", "yolo5", "absent.yaml"])
def test_a_family_that_does_not_fit(study: Run, work: Path, family: str) -> None:
    assert ";" in study("--family", family).error
    assert not (work / "out").exists()


# --- numbers ---------------------------------------------------------------------------------------


def _divided_by_zero(after: int, name: str) -> onnx.ModelProto:
    """The detector with ``name``, the output of node ``after``, divided by zero."""
    model = detector()
    model.graph.node[after].output[0] = "undivided"
    model.graph.node.insert(after + 1, helper.make_node("Div", ["undivided", "zero"], [name], name="div"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))
    return model


def test_activations_that_are_no_numbers_name_tensor_and_image(study: Run, work: Path) -> None:
    error = study(model=saved(_divided_by_zero(1, "hue"), work / "bad.onnx")).error
    assert error.startswith("tensor 'hue' for sample '1-00.png': ")
    assert "values are NaN or infinite" in error
    assert not (work / "out").exists()


def test_outputs_that_are_no_numbers_name_tensor_and_image(study: Run, work: Path) -> None:
    last = len(detector().graph.node) - 1
    error = study(model=saved(_divided_by_zero(last, "output0"), work / "bad.onnx")).error
    assert error.startswith("tensor 'output0' for sample '1-00.png': ")
    assert not (work / "out").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("command", ["study", "calibrate"])
def test_weights_that_are_no_numbers_are_named(run: Run, work: Path, command: str, value: float) -> None:
    broken = weight(detector(), "head_w")
    broken[0, 0] = value
    saved(with_weight(detector(), "head_w", broken), work / "m.onnx")
    data = ("--data", "test") if command == "study" else ()
    answer = run(command, "m.onnx", "--calib", "calib", "--out", "out", *data)
    assert answer.error.startswith("weight 'head_w' holds NaN or infinite values")
    assert not (work / "out").exists()


def test_a_tensor_that_is_always_zero_is_remarked_on(study: Run, work: Path) -> None:
    model = with_weight(detector(), "colour_w", weight(detector(), "colour_w") * 0)
    answer = study(model=saved(model, work / "blind.onnx"), calibrators="minmax,entropy2,mse,legacy")
    assert answer.code == 4, "a blind float model is nothing to recommend from"
    assert "1 of 2 quantized tensors are zero in all 4 calibration images, e.g. 'hue'" in answer.err
    trials = json.loads((work / "out/study.json").read_text())["trials"]
    assert {trial["status"] for trial in trials} == {"ok"}


def test_what_a_runtime_cannot_run_is_said_once(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = detector()
    model.graph.node[2].input[0] = "gathered"
    model.graph.node.insert(
        2, helper.make_node("Gather", ["hue", "beyond"], ["gathered"], name="gather", axis=1)
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 7], np.int64), "beyond"))
    saved(model, work / "bad.onnx")
    with pytest.raises(SystemExit) as caught:
        main(["study", "bad.onnx", *OPTIONS["study"]])
    printed = capfd.readouterr()  # from ONNX Runtime's own logger, too
    assert (caught.value.code, printed.out) == (2, "")
    assert printed.err.startswith("error: ONNX Runtime failed while running the model: ")
    assert printed.err.count("\n") == 1


# --- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "words"), [
    ("absent", "does not exist"),
    ("empty", "no images are in 'empty'"),
    ("calib/*.jpg", "no images are in"),
    ("absent.npy", "does not exist"),
])  # fmt: skip
def test_no_calibration_images(study: Run, work: Path, source: str, words: str) -> None:
    (work / "empty").mkdir()
    assert words in study(calib=source).error
    assert not (work / "out").exists()


def _truncate(image: Path) -> None:
    image.write_bytes(image.read_bytes()[:2000])


def _garble(image: Path) -> None:
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 0xFF
    image.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _garble])
@pytest.mark.parametrize("image", ["calib/1-02.png", "test/images/1000-02.png"])
def test_damaged_images_are_named_and_skipped_on_request(
    study: Run, work: Path, damage: Callable[[Path], None], image: str
) -> None:
    damage(work / image)
    error = study().error
    assert Path(image).name in error
    assert "--skip-bad" in error
    assert not (work / "out").exists()
    answer = study("--skip-bad")
    assert answer.code == 0
    assert "images were skipped, e.g. " in answer.err
    data = json.loads((work / "out/study.json").read_text())["data"]
    assert data["calibration_samples"] + data["test_samples"] == 4 + 30 - 1


def test_every_damaged_image_is_counted(study: Run, work: Path) -> None:
    for name in ("1-00.png", "1-03.png"):
        (work / "calib" / name).write_bytes(b"no image")
    assert study().error.startswith("2 of 4 images cannot be read, e.g. 'calib/1-00.png'")


def test_arrays_of_another_shape(study: Run, work: Path) -> None:
    np.save(work / "one.npy", np.zeros((2, 64, 64, 3), np.float32))
    assert "has shape 1x64x64x3 but the model takes 1x3x64x64" in study(calib="one.npy").error
    assert not (work / "out").exists()


# --- labels ----------------------------------------------------------------------------------------


def test_labels_without_images(study: Run, work: Path) -> None:
    (work / "test/images/1000-04.png").unlink()
    assert "1 of 30 images labelled in 'test/labels.json' are missing" in study().error
    shutil.rmtree(work / "test/images")
    assert "are not beside it" in study().error


def test_images_without_labels(study: Run) -> None:
    assert "holds 30 images but no labels" in study(data="test/images").error


@pytest.mark.parametrize("data", ["absent", "m.onnx", "calib/1-00.png"])
def test_what_is_no_data_set(study: Run, data: str) -> None:
    assert "COCO JSON" in study(data=data).error


def _relabel(work: Path, **changes: Any) -> None:
    path = work / "test/labels.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_empty_label_set(study: Run, work: Path) -> None:
    _relabel(work, annotations=[])
    assert "have no usable labelled box" in study().error


def test_another_number_of_classes(study: Run, work: Path) -> None:
    _relabel(work, categories=[{"id": index, "name": f"c{index}"} for index in (1, 2, 3)])
    assert "the model has 2 classes and the labels 3" in study().error


# --- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--calibrators", "minmx"], "did you mean minmax?"),
        (["--calibrators", "percentile:101"], "percentile:99.99"),
        (["--calibrators", "percentile"], "percentile:99.99"),
        (["--calibrators", ","], "no calibrator was named"),
        (["--calibrators", "minmax,minmax"], "named twice"),
        (["--runtime", "tensort"], "known: "),
        (["--scheme", "tensort"], "known: "),
        (["--exclude", "color"], "close: 'colour'"),
        (["--exclude", "*"], "nothing in m.onnx is quantized"),
        (["--conf", "nan"], "between 0 and 1"),
        (["--imgsz", "128"], "leave --input-shape out"),
    ],
)
def test_settings_that_mean_nothing(study: Run, work: Path, options: list[str], words: str) -> None:
    assert words in study(*options).error
    assert not (work / "out").exists()


@pytest.mark.parametrize("out", ["m.onnx", "m.onnx/below", "/proc/nowhere/out"])
@pytest.mark.parametrize("command", ["study", "calibrate"])
def test_an_output_folder_that_cannot_be(run: Run, command: str, out: str) -> None:
    if out.startswith("/proc") and not Path("/proc").exists():
        pytest.skip("needs /proc")
    data = ("--data", "test") if command == "study" else ()
    assert "with --out" in run(command, "m.onnx", "--calib", "calib", "--out", out, *data).error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_folder(study: Run, work: Path) -> None:
    (work / "locked").mkdir(mode=0o500)
    assert "Permission denied" in study(out="locked/out").error


def test_a_failing_study_leaves_earlier_results_alone(study: Run, work: Path) -> None:
    assert study().code == 0
    before = {path: path.read_bytes() for path in (work / "out").rglob("*") if path.is_file()}
    assert study(model=saved(_divided_by_zero(1, "hue"), work / "bad.onnx")).code == 2
    assert {path: path.read_bytes() for path in (work / "out").rglob("*") if path.is_file()} == before
