"""``calibrant study --runtime tensorrt``, with a stand-in for NVIDIA's package in the worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from outcomes import Run

STAND_IN = Path(__file__).parents[1] / "runtimes" / "fake_tensorrt"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def study_json(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    return content


def value(measured: dict[str, Any]) -> float:
    """A model's mAP in points."""
    return float(measured["score"]["value"])


def header(file: Path) -> str:
    return file.read_text().splitlines()[0]


def test_a_study_collects_on_onnx_runtime_and_measures_on_tensorrt(study: Run, work: Path) -> None:
    answer = study("--runtime", "tensorrt", calibrators="minmax,percentile:90")
    assert answer.code == 0
    assert "TensorRT 8.5.1.7 builds an engine for minmax.qdq.onnx" in answer.err
    assert "Latency, ms (of it on the device): FP32 " in answer.out
    content = study_json(work / "out")
    assert content["environment"]["tensorrt"] == "8.5.1.7"
    assert content["environment"]["device"] == "Stand-in GPU"
    minmax, clipped = content["trials"]
    assert (value(minmax), value(clipped)) == (100, 0)
    (half,) = content["other_floats"]  # TensorRT 8 has no BF16
    assert (half["name"], value(half), half["loss"]["value"]) == ("fp16", 100, 0)
    assert any(line.split()[:2] == ["FP16", "100.0"] for line in answer.out.splitlines())
    assert "FP16 " in answer.out.partition("Latency, ms")[2]
    low, high = half["latency"]["spread_ms"]
    assert low <= high
    assert " on Stand-in GPU: " in answer.out
    for measured in (content["baseline"], minmax, clipped):
        assert measured["latency"]["device_median_ms"] > 0
        assert measured["latency"]["build_seconds"] >= 0
    model = onnx.load(work / "out" / "minmax.qdq.onnx")
    stored = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.INT8 and len(i.dims) > 1]
    assert stored == []  # TensorRT 8 takes a weight as float with a Q/DQ pair


def test_the_float_model_is_measured_in_what_this_tensorrt_has_or_in_fp32_alone(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_VERSION", "10.3.0")
    assert study("--runtime", "tensorrt").code == 0
    assert [other["name"] for other in study_json(work / "out")["other_floats"]] == ["fp16", "bf16"]
    assert study("--runtime", "tensorrt:beside=none", "--overwrite").code == 0
    assert "other_floats" not in study_json(work / "out")


def test_tensorrts_own_calibrator_can_be_measured(study: Run, work: Path) -> None:
    runtime = "tensorrt:beside=none,int8=calibrate"
    answer = study("--runtime", runtime, calibrators="minmax,entropy2,entropy,mse")
    assert answer.code == 0
    trials = {trial["calibrator"]: trial for trial in study_json(work / "out")["trials"]}
    assert trials["mse"]["status"] == "failed"
    assert "TensorRT has no calibrator mse" in trials["mse"]["reason"]
    for name in ("minmax", "entropy2", "entropy"):
        assert trials[name]["same_as"] is None
        own = work / "out" / trials[name]["files"]["tensorrt_cache"]
        assert header(own).startswith("TRT-8501-")
        assert "images: " in own.read_text()
    assert len({trials[name]["key"] for name in ("minmax", "entropy2", "entropy")}) == 3


@pytest.mark.parametrize(
    ("version", "expected"),
    [("8.6.0", "TRT-8600-MinMaxCalibration"), ("8.5.1.7", "TRT-8501-MinMaxCalibration")],
)
def test_our_cache_can_be_measured_on_its_version(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch, version: str, expected: str
) -> None:
    monkeypatch.setenv("STAND_IN_VERSION", version)
    answer = study("--runtime", "tensorrt:beside=none,int8=cache")
    assert answer.code == 0
    (trial,) = study_json(work / "out")["trials"]
    assert trial["status"] == "ok"
    cache = (work / "out" / "minmax.cache").read_text()
    assert cache.startswith(f"{expected}\n")
    assert "scores: " in cache  # TensorRT wants a scale of every tensor, not only of those that feed a layer


def test_a_crash_is_one_failed_trial(study: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert study("--runtime", "tensorrt:beside=none").code == 0
    monkeypatch.setenv("STAND_IN", "crash")  # in building only: the engines of the first study are kept
    answer = study("--runtime", "tensorrt:beside=none", calibrators="percentile:90,minmax", out="again")
    assert answer.code == 0
    clipped, minmax = study_json(work / "again")["trials"]
    assert "TensorRT 8.5.1.7 crashed (SIGSEGV) while building percentile-90.qdq.onnx" in clipped["reason"]
    assert "misaligned address" in clipped["reason"]
    assert (minmax["status"], value(minmax)) == ("ok", 100)
    assert "percentile:90 failed: TensorRT 8.5.1.7 crashed" in " ".join(answer.out.split())


def test_without_tensorrt_nothing_begins(study: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    assert "name a Python that has it: --runtime tensorrt:python=" in study("--runtime", "tensorrt").error
    assert not (work / "out").exists()


def test_a_model_of_open_size_is_given_one(study: Run, run: Run, work: Path) -> None:
    from toy_detector import SIDE, detector, saved

    saved(detector(side="s"), work / "open.onnx")
    assert study("--runtime", "tensorrt:beside=none", "--imgsz", SIDE, model="open.onnx").code == 0
    assert value(study_json(work / "out")["baseline"]) == 100


def test_outputs_that_cannot_be_read_are_found_before_a_build(study: Run, run: Run, work: Path) -> None:
    from toy_detector import detector, saved

    model = detector()
    (output,) = model.graph.output
    for dim in output.type.tensor_type.shape.dim[1:]:
        dim.dim_param = f"d{dim.dim_value}"
    model.graph.node[-1].output[0] = "rows"
    model.graph.node.add(op_type="Greater", input=["by_cell", "never"], output=["is_found"])
    model.graph.node.add(op_type="NonZero", input=["is_found"], output=["where"])
    model.graph.node.add(op_type="Shape", input=["where"], output=["many"])  # known only when it runs
    model.graph.node.add(op_type="Slice", input=["many", "one", "two"], output=["count"])
    model.graph.node.add(op_type="Slice", input=["rows", "zero", "count", "two"], output=["output0"])
    for name, value in (("zero", 0), ("one", 1), ("two", 2)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1.5], np.float32), "never"))
    saved(model, work / "open.onnx")
    options = ("--runtime", "tensorrt:beside=none", "--family", "yolov5")
    for answer in (
        study(*options, model="open.onnx"),
        run("evaluate", "open.onnx", "--data", "test", *options),
    ):
        assert answer.code == 2
        assert "the profile's decoder reads" in answer.error
        assert "builds an engine" not in answer.err


def test_warnings_of_builds_are_told_in_the_result(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "warnings")
    assert study("--runtime", "tensorrt:beside=none").code == 0
    told = [line for line in study_json(work / "out")["warnings"] if line.startswith("building fp32, minmax")]
    assert len(told) == 2
    assert "Missing scale and zero-point for tensor (Unnamed Layer* 3) [Constant]_output" in told[0]
    assert told[0].endswith("(and 2 more such)")


def test_evaluate_tells_the_latency(run: Run, work: Path) -> None:
    answer = run("evaluate", "m.onnx", "--data", "test", "--runtime", "tensorrt:precision=fp16")
    assert answer.code == 0
    assert answer.out.splitlines()[-1].startswith("latency ")


def test_an_executor_gives_the_same_engines_and_trials(study: Run, work: Path, own_cache: Path) -> None:
    options = ("--runtime", "tensorrt:int8=calibrate", "--no-cache")
    assert study(*options, calibrators="minmax,entropy2", out="alone").code == 0
    built = sorted(path.name for path in own_cache.rglob("*.plan"))
    assert len(built) == 4  # of the float model in FP32 and in FP16, and of two candidates
    for path in own_cache.rglob("*.plan"):
        path.unlink()
    assert study(*options, "--executor", "local:1", calibrators="minmax,entropy2", out="shared").code == 0
    assert sorted(path.name for path in own_cache.rglob("*.plan")) == built
    alone, shared = (study_json(work / folder) for folder in ("alone", "shared"))
    for trial, found in zip(alone["trials"], shared["trials"], strict=True):
        assert (trial["score"], trial["loss"]) == (found["score"], found["loss"])
        assert trial["key"] == found["key"]
        own = trial["files"]["tensorrt_cache"]
        assert (work / "alone" / own).read_text() == (work / "shared" / own).read_text()
