"""The TensorRT runtime and its worker, against a stand-in for NVIDIA's package."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.core.progress import Silent
from calibrant.core.types import Deployable, Feeds, QuantizingRuntime, TimedSession
from calibrant.runtimes import runtime_named
from calibrant.runtimes import tensorrt_worker as worker_package
from calibrant.runtimes.tensorrt import OPTIONS, TensorRT
from calibrant.testing import RuntimeConformance

STAND_IN = str(Path(__file__).with_name("fake_tensorrt"))
IMAGE = np.linspace(-1, 1, 60, dtype=np.float32).reshape(1, 3, 4, 5)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("PYTHONPATH", STAND_IN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


class TestStandIn(RuntimeConformance):
    @property
    def runtime(self) -> TensorRT:  # type: ignore[override]
        return TensorRT()


def saved(op_type: str, path: Path, shape: tuple[int | str, ...] = (1, 3, 4, 5)) -> Path:
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")}
    nodes = [helper.make_node(op_type, ["x"], ["y"])]
    graph = helper.make_graph(nodes, "one", [value["x"]], [value["y"]])
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def ran(runtime: TensorRT, model: Path) -> NDArray[Any]:
    with runtime.open(model) as session:
        result: NDArray[Any] = session.run({"x": IMAGE})["y"]
    return result


class Listening(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_an_engine_is_built_once_and_kept_by_content(tmp_path: Path) -> None:
    listener = Listening()
    first, copy = saved("Relu", tmp_path / "first.onnx"), saved("Relu", tmp_path / "copy.onnx")
    for model in (first, first, copy):
        assert np.array_equal(ran(TensorRT(progress=listener), model), np.maximum(IMAGE, 0))
    assert len(listener.notes) == 1
    assert "TensorRT 8.5.1.7 builds an engine for first.onnx" in listener.notes[0]
    ran(TensorRT(progress=listener), saved("Neg", tmp_path / "first.onnx"))
    ran(TensorRT(progress=listener, precision="fp16"), first)
    assert len(listener.notes) == 3


def test_external_data_is_content_too(tmp_path: Path) -> None:
    listener = Listening()
    model = saved("Relu", tmp_path / "x")  # the file's name occurs in the model, as external data's does
    (tmp_path / "y").write_bytes(b"weights")
    ran(TensorRT(progress=listener), model)
    (tmp_path / "y").write_bytes(b"others!")
    ran(TensorRT(progress=listener), model)
    assert len(listener.notes) == 2


def test_the_version_is_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TensorRT().version == "8.5.1.7"
    monkeypatch.setenv("STAND_IN_VERSION", "10.3.0")
    assert TensorRT().version == "10.3.0"


def test_a_session_says_how_fast_it_is(tmp_path: Path) -> None:
    with TensorRT().open(saved("Relu", tmp_path / "m.onnx")) as session:
        assert isinstance(session, TimedSession)
        latency = session.latency({"x": IMAGE}, runs=7)
    assert latency.runs == 7
    assert latency.device_median_ms is not None
    assert 0 < latency.device_median_ms <= latency.median_ms <= latency.p99_ms
    assert latency.build_seconds is not None


def test_a_python_without_tensorrt_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for ask in (lambda: TensorRT().version, lambda: TensorRT().open(saved("Relu", tmp_path / "m.onnx"))):
        with pytest.raises(SettingsError) as caught:
            ask()
        message = str(caught.value)
        assert "No module named 'tensorrt'" in message
        assert "--runtime tensorrt:python=/path/to/python" in message
        assert "\n" not in message


def test_a_python_that_is_none_is_told() -> None:
    with pytest.raises(SettingsError, match="cannot start /no/such/python: No such file"):
        _ = TensorRT(python="/no/such/python").version


def test_a_failed_build_is_told_in_tensorrts_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError) as caught:
        TensorRT().open(saved("Erf", tmp_path / "erf.onnx"))
    assert str(caught.value) == (
        "TensorRT 8.5.1.7 failed while building erf.onnx: it built no engine; "
        "10: Could not find any implementation for node Erf"
    )


def test_warnings_of_a_build_that_succeeds_are_kept_and_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STAND_IN", "warnings")
    listener, model = Listening(), saved("Relu", tmp_path / "m.onnx")
    expected = (
        "Missing scale and zero-point for tensor (Unnamed Layer* 3) [Constant]_output, expect fall back to "
        "non-int8 implementation for any layer consuming or producing given tensor (and 2 more such)",
        "TensorRT was linked against cuDNN 8.6.0 not 8.5",
    )
    for _ in range(2):  # the second time the engine is found in the cache
        listener.notes.clear()
        with TensorRT(progress=listener).open(model) as session:
            assert session.latency({"x": IMAGE}, runs=3).build_warnings == expected
        said = [note for note in listener.notes if "this can take minutes" not in note]
        assert said == [f"TensorRT 8.5.1.7, building m.onnx: {line}" for line in expected]


def test_a_crash_costs_one_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime, model = TensorRT(), saved("Relu", tmp_path / "m.onnx")
    with monkeypatch.context() as bad_day:
        bad_day.setenv("STAND_IN", "crash")
        with pytest.raises(RuntimeFailedError) as caught:
            runtime.open(model)
    message = str(caught.value)
    assert "TensorRT 8.5.1.7 crashed (SIGSEGV) while building m.onnx" in message
    assert "Cask error: misaligned address" in message
    assert np.array_equal(ran(runtime, model), np.maximum(IMAGE, 0))


def test_a_hang_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STAND_IN", "hang")
    runtime = runtime_named("tensorrt:timeout=0.5")
    with pytest.raises(RuntimeFailedError, match=r"was not done with building m.onnx after 0.5 s .*timeout="):
        runtime.open(saved("Relu", tmp_path / "m.onnx"))


def test_what_is_printed_to_stdout_does_no_harm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STAND_IN", "noise")
    assert np.array_equal(ran(TensorRT(), saved("Relu", tmp_path / "m.onnx")), np.maximum(IMAGE, 0))


def test_an_interpreter_that_talks_itself_is_named(tmp_path: Path) -> None:
    wrapper = executable(tmp_path, 'echo "Welcome to my Python"\nsleep 5')
    with pytest.raises(RuntimeFailedError, match=r"talks nonsense while starting: b'Welcome to my Python"):
        _ = TensorRT(python=wrapper).version


def test_another_protocol_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(
        f"import sys; sys.path.insert(0, {str(Path(worker_package.__file__).parent)!r})\n"
        "from messages import *\n"
        "read_message(sys.stdin.buffer)\n"
        "write_message(sys.stdout.buffer, {'kind': 'hello', 'protocol': 99, 'tensorrt': '12'}, {})\n"
    )
    wrapper = executable(tmp_path, f"exec {sys.executable} {other}")
    with pytest.raises(RuntimeFailedError, match="speaks protocol 99, not 1"):
        _ = TensorRT(python=wrapper).version


def test_an_early_death_shows_what_was_printed(tmp_path: Path) -> None:
    wrapper = executable(tmp_path, "echo 'libnvinfer.so.8: cannot open' >&2; exit 127")
    with pytest.raises(RuntimeFailedError, match=r"crashed \(exit code 127\) .*libnvinfer.so.8: cannot open"):
        _ = TensorRT(python=wrapper).version


def executable(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_dynamic_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError, match="input 'x' has a dynamic shape"):
        TensorRT().open(saved("Relu", tmp_path / "m.onnx", (1, 3, "height", "width")))


@pytest.mark.parametrize(
    ("version", "thorough", "quick"),
    [
        ("8.5.1.7", "[] None", "['ENABLE_TACTIC_HEURISTIC'] None"),
        ("8.6.0", "[] None", "[] 2"),
        ("10.3.0", "[] None", "[] 2"),
        ("11.0.0", "[] None", "[] 2"),
    ],
)
def test_each_version_is_asked_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, thorough: str, quick: str
) -> None:
    monkeypatch.setenv("STAND_IN_VERSION", version)
    monkeypatch.setenv("STAND_IN_NOTES", str(tmp_path / "notes"))
    model = saved("Relu", tmp_path / "m.onnx")
    for effort in ("thorough", "quick", "quick"):  # the third is found in the cache
        ran(TensorRT(effort=effort), model)
    assert (tmp_path / "notes").read_text().splitlines() == [thorough, quick]


def test_what_tensorrt_11_dropped_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STAND_IN_VERSION", "11.0.0")
    with pytest.raises(
        RuntimeFailedError, match="no FP16; its networks run in the types they are written in"
    ):
        TensorRT(precision="fp16").open(saved("Relu", tmp_path / "m.onnx"))
    for int8 in ("cache", "calibrate"):
        with pytest.raises(RuntimeFailedError, match="no IInt8MinMaxCalibrator; use int8=explicit"):
            TensorRT(int8=int8).open_candidate(candidate(tmp_path, "TRT-8501-MinMaxCalibration"))
    with TensorRT().open_candidate(candidate(tmp_path, "TRT-8501-MinMaxCalibration")) as session:
        assert np.array_equal(session.run({"x": IMAGE})["y"], -IMAGE)


# --- INT8 by calibration ------------------------------------------------------------------------------


def candidate(folder: Path, header: str, *, name: str = "minmax", batches: int = 2) -> Deployable:
    cache = folder / "minmax.cache"
    cache.write_text(f"{header}\nx: 3c010a14\n")

    def feeds() -> Iterator[Feeds]:
        yield from ({"x": IMAGE * (index + 1)} for index in range(batches))

    return Deployable(
        name=name,
        float_model=saved("Relu", folder / "float.onnx"),
        qdq=saved("Neg", folder / "minmax.qdq.onnx"),
        cache=cache,
        algorithm="minmax",
        quantile=0.9999,
        is_tensorrts_own=name == "minmax",
        tensorrts_cache=folder / "minmax.tensorrt.cache",
        batches=feeds,
    )


def test_a_candidate_is_its_qdq_model(tmp_path: Path) -> None:
    runtime = TensorRT()
    assert isinstance(runtime, QuantizingRuntime)
    with runtime.open_candidate(candidate(tmp_path, "TRT-8501-MinMaxCalibration")) as session:
        assert np.array_equal(session.run({"x": IMAGE})["y"], -IMAGE)


def test_a_candidate_may_be_a_cache(tmp_path: Path) -> None:
    runtime = TensorRT(int8="cache")
    with runtime.open_candidate(candidate(tmp_path, "TRT-8501-MinMaxCalibration")) as session:
        assert np.array_equal(session.run({"x": IMAGE})["y"], np.maximum(IMAGE, 0))


def test_a_cache_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError, match="it did not accept the calibration cache"):
        TensorRT(int8="cache").open_candidate(candidate(tmp_path, "TRT-8600-MinMaxCalibration"))


def test_tensorrt_calibrates_itself_once(tmp_path: Path) -> None:
    for _ in range(2):
        wanted = candidate(tmp_path, "TRT-8501-MinMaxCalibration")
        TensorRT(int8="calibrate").open_candidate(wanted).close()
        scale = np.float32(2 / 127).tobytes()[::-1].hex()
        assert wanted.tensorrts_cache.read_text() == f"TRT-8501-MinMaxCalibration\nx: {scale}\n"
        wanted.tensorrts_cache.unlink()


def test_a_calibrator_that_tensorrt_lacks_is_named(tmp_path: Path) -> None:
    wanted = candidate(tmp_path, "TRT-8501-EntropyCalibration2", name="percentile:99.9")
    with pytest.raises(RuntimeFailedError, match=r"no calibrator percentile:99.9; use int8=cache"):
        TensorRT(int8="calibrate").open_candidate(wanted)


def test_tensorrt_without_calibrators_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STAND_IN", "no-calibrators")
    with pytest.raises(RuntimeFailedError, match=r"no IInt8MinMaxCalibrator; use int8=explicit"):
        TensorRT(int8="cache").open_candidate(candidate(tmp_path, "TRT-8501-MinMaxCalibration"))


def test_a_sample_that_cannot_be_read_ends_the_build(tmp_path: Path) -> None:
    def broken() -> Iterator[Feeds]:
        yield {"x": IMAGE}
        raise OSError("image 2 is gone")

    wanted = candidate(tmp_path, "TRT-8501-MinMaxCalibration")
    wanted = Deployable(**{**vars(wanted), "batches": broken})
    with pytest.raises(OSError, match="image 2 is gone"):
        TensorRT(int8="calibrate").open_candidate(wanted)


# --- specifications, and the worker's own rules --------------------------------------------------------


@pytest.mark.parametrize(
    ("specification", "complaint"),
    [
        ("tensorrt:precision=int4", "'int4' does not fit runtime tensorrt's precision: use fp32 or fp16"),
        ("tensorrt:colour=red", "runtime tensorrt has no option 'colour'; known: python"),
        ("tensorrt:python", "'python' in --runtime tensorrt:python is not key=value"),
        ("tensorrt:device=0,device=1", "'device' stands twice"),
        ("onnxruntime:workers=many", "'many' does not fit runtime onnxruntime's workers"),
        ("tensorflow", "no runtime is called 'tensorflow'; known: onnxruntime, openvino, tensorrt"),
    ],
)
def test_a_wrong_specification_is_told(specification: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        runtime_named(specification)


def test_the_gpu_can_be_chosen(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    wrapper = executable(tmp_path, f'echo "$CUDA_VISIBLE_DEVICES" > {seen}; exit 1')
    with pytest.raises(RuntimeFailedError):
        _ = runtime_named(f"tensorrt:python={wrapper},device=3").version
    assert seen.read_text() == "3\n"


def test_the_worker_is_python_3_8_and_knows_only_numpy_and_tensorrt() -> None:
    standard = set(sys.stdlib_module_names)
    for file in Path(worker_package.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = {str(node.module).partition(".")[0]}
            else:
                continue
            assert names <= standard | {"numpy", "tensorrt"}, file.name


def test_every_option_is_documented() -> None:
    page = Path(__file__).parents[2] / "docs" / "tensorrt-runtime.md"
    documented = {line.split("`")[1] for line in page.read_text("utf-8").splitlines() if line[:3] == "| `"}
    assert documented >= OPTIONS.keys()


def test_no_worker_is_left_behind(tmp_path: Path) -> None:
    with TensorRT().open(saved("Relu", tmp_path / "m.onnx")) as session:
        worker = session._worker
        assert worker is not None
        pid = worker._process.pid
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
