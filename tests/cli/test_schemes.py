"""``--scheme`` and ``--runtime`` together, from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import pytest
from outcomes import Run

OUT = ("--calibrators", "minmax,percentile:99.9", "--out", "out")
STUDY = ("study", "m.onnx", "--calib", "calib", "--data", "test", *OUT)


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_a_study_under_its_own_scheme(run: Run, work: Path, target: str) -> None:
    answer = run(*STUDY, "--scheme", target, "--runtime", target)
    assert (answer.code, answer.err) == (0, "")
    content = json.loads((work / "out/study.json").read_text())
    assert content["settings"]["scheme"] == content["settings"]["runtime"] == target
    assert target in content["environment"]
    assert content["trials"][0]["latency"]["median_ms"] > 0
    assert content["trials"][0]["files"].keys() == {"qdq", "encodings", "evidence"}
    assert content["trials"][0]["score"]["value"] > 90
    assert not [*(work / "out").glob("*.cache")], "a scale alone does not tell a zero point"
    types = {tensor.data_type for tensor in onnx.load(work / "out/minmax.qdq.onnx").graph.initializer}
    assert onnx.TensorProto.UINT8 in types


def test_onnx_runtime_fuses_its_own_schemes_files_only(run: Run, work: Path) -> None:
    """The deployed file scores the same when it is evaluated again, without being told how."""
    assert run(*STUDY, "--scheme", "onnxruntime").code == 0
    trial = json.loads((work / "out/study.json").read_text())["trials"][0]
    again = json.loads(run("evaluate", "out/minmax.qdq.onnx", "--data", "test", "--json").out)
    assert again["score"]["value"] == trial["score"]["value"]


def test_calibrate_writes_models_only(run: Run, work: Path) -> None:
    answer = run("calibrate", "m.onnx", "--calib", "calib", *OUT, "--scheme", "openvino")
    assert (answer.code, answer.err) == (0, "")
    assert "minmax: out/minmax.qdq.onnx\n" in answer.out
    assert not [*(work / "out").glob("*.cache")]


def test_all_tensors_are_for_caches(run: Run) -> None:
    answer = run("calibrate", "m.onnx", "--calib", "calib", *OUT, "--scheme", "openvino", "--tensors", "all")
    assert "scheme openvino has no caches" in answer.error


def test_openvino_is_said_to_compute_signed_activations_wrongly(run: Run) -> None:
    answer = run(*STUDY, "--runtime", "openvino")
    assert answer.code == 0
    assert "use --scheme openvino" in answer.err


def test_a_missing_package_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "calibrant.runtimes.openvino", raising=False)
    assert "pip install 'calibrant[openvino]'" in run(*STUDY, "--runtime", "openvino").error


def test_options_that_a_runtime_lacks_are_refused(run: Run) -> None:
    assert "use f32 or bf16 or f16" in run(*STUDY, "--runtime", "openvino:precision=int8").error
    assert "use auto or exact or fused" in run(*STUDY, "--runtime", "onnxruntime:qdq=loose").error


def test_a_cache_that_will_be_deployed_is_predicted_by_tensorrts_own_rounding(run: Run, work: Path) -> None:
    assert run(*STUDY, "--deploy", "cache").code == 0
    content = json.loads((work / "out/study.json").read_text())
    assert content["settings"]["scheme"] == "tensorrt-implicit"
    assert any("deploy the float model with the cache" in warning for warning in content["warnings"])
    assert content["trials"][0]["status"] == "ok"
    assert {layer["computes"] for layer in content["model"]["layers"]} == {"INT8", "FP32"}
    predicted = {tensor.name for tensor in onnx.load(work / "out/minmax.qdq.onnx").graph.initializer}
    assert {"images_scale", "hue_scale"} <= predicted
    assert (
        not {"mean_scale", "logits_scale", "scores_scale"} & predicted
    )  # inside a layer, and float decoding
    names = {line.split(": ")[0] for line in (work / "out/minmax.cache").read_text().splitlines()[1:]}
    assert {"images", "mean", "hue", "logits", "scores"} <= names  # TensorRT asks for all of them
    assert (
        run("calibrate", "m.onnx", "--calib", "calib", *OUT[:2], "--out", "cal", "--deploy", "cache").code
        == 0
    )
    assert (work / "cal/minmax.cache").read_text() == (work / "out/minmax.cache").read_text()


def test_inspect_maps_the_precision_of_each_layer(run: Run) -> None:
    lines = run("inspect", "m.onnx", "--scheme", "tensorrt-implicit").out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("layers  2 in INT8, "))
    assert "1 reformats between them" in lines[start]
    assert [line.split() for line in lines[start + 1 : start + 4]] == [
        ["reformat", "images", "to", "INT8"],
        ["INT8", "->", "INT8", "colour", "+", "relu"],
        ["INT8", "->", "FP32", "head"],
    ]
