"""``calibrant deploy RUN --to TARGET``: files that their target takes, read again and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from outcomes import Run

from calibrant.studies.deployment.write import TARGETS

STAND_IN = Path(__file__).parents[1] / "runtimes" / "fake_tensorrt"


@pytest.fixture
def studied(study: Run) -> Callable[..., Run]:
    """Make the run ``out`` of the toy detector for a scheme."""

    def made(scheme: str = "tensorrt", *options: str) -> Run:
        assert study("--scheme", scheme, *options).code == 0
        return study

    return made


def test_onnx_runtime_gets_the_measured_file(studied: Callable[..., Run], run: Run, work: Path) -> None:
    studied("onnxruntime")
    answer = run("deploy", "out", "--to", "onnxruntime")
    assert (answer.code, answer.err) == (0, "")
    assert "minmax for onnxruntime: minmax.onnx in out/deploy-onnxruntime" in answer.out
    assert "finite" in answer.out
    deployed = work / "out" / "deploy-onnxruntime" / "minmax.onnx"
    assert deployed.read_bytes() == (work / "out" / "minmax.qdq.onnx").read_bytes()


def test_openvino_gets_an_ir_that_says_the_same(studied: Callable[..., Run], run: Run, work: Path) -> None:
    pytest.importorskip("openvino")
    studied("openvino")
    answer = run("deploy", "out", "--to", "openvino", "--out", "ir", "--json")
    told = json.loads(answer.out)
    assert told["files"] == ["minmax.xml", "minmax.bin"]
    assert all((work / "ir" / name).is_file() for name in told["files"])
    assert "within 0 of the range" in told["checks"][0]


def test_without_tensorrt_the_command_is_written_down(
    studied: Callable[..., Run], run: Run, work: Path
) -> None:
    studied()
    answer = run("deploy", "out", "--to", "engine")
    assert "run: sh out/deploy-engine/build.sh" in answer.out
    script = (work / "out" / "deploy-engine" / "build.sh").read_text()
    assert "trtexec --onnx=minmax.onnx --int8 --saveEngine=minmax.engine" in script


def test_a_cache_is_built_from_with_its_float_model(
    studied: Callable[..., Run], run: Run, work: Path
) -> None:
    studied("tensorrt-implicit")
    run("deploy", "out", "--to", "engine")
    folder = work / "out" / "deploy-engine"
    assert "--onnx=float.onnx --int8 --calib=minmax.cache" in (folder / "build.sh").read_text()
    assert (folder / "float.onnx").read_bytes() == (work / "m.onnx").read_bytes()
    assert (folder / "minmax.cache").read_bytes() == (work / "out" / "minmax.cache").read_bytes()


def test_tensorrt_builds_the_engine_and_runs_it(
    studied: Callable[..., Run], run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studied()
    monkeypatch.setenv("PYTHONPATH", str(STAND_IN))
    answer = run("deploy", "out", "--to", "engine", "--runtime", f"tensorrt:folder={work / 'kept'}", "--json")
    told = json.loads(answer.out)
    assert told["files"] == ["minmax.engine"]
    assert "of the range of those of minmax.qdq.onnx in onnxruntime" in told["checks"][0]
    engines = list((work / "kept").rglob("*.plan"))
    assert [path.read_bytes() for path in engines] == [
        (work / "out/deploy-engine/minmax.engine").read_bytes()
    ]


def test_deepstream_gets_a_configuration(studied: Callable[..., Run], run: Run, work: Path) -> None:
    studied("tensorrt-implicit")
    assert run("deploy", "out", "--to", "deepstream").code == 0
    folder = work / "out" / "deploy-deepstream"
    lines = (folder / "config_infer.txt").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert settings["network-mode"] == "1"
    assert (folder / settings["onnx-file"]).is_file()
    assert (folder / settings["int8-calib-file"]).is_file()
    assert float(settings["net-scale-factor"]) == pytest.approx(1 / 255)


def test_triton_gets_a_repository(studied: Callable[..., Run], run: Run, work: Path) -> None:
    studied("onnxruntime")
    assert run("deploy", "out", "--to", "triton").code == 0
    repository = work / "out" / "deploy-triton" / "minmax"
    text = (repository / "config.pbtxt").read_text()
    model = onnx.load(repository / "1" / "model.onnx")
    assert 'backend: "onnxruntime"' in text
    assert all(f'name: "{value.name}"' in text for value in (*model.graph.input, *model.graph.output))


def test_what_was_not_measured_for_a_target_is_refused(studied: Callable[..., Run], run: Run) -> None:
    studied("onnxruntime")
    for target in ("engine", "openvino", "deepstream"):
        answer = run("deploy", "out", "--to", target)
        assert answer.code == 2
        assert f"--scheme {TARGETS[target].schemes[0]}" in answer.err


def test_damage_is_noticed(studied: Callable[..., Run], run: Run, work: Path) -> None:
    studied()
    (work / "out" / "minmax.qdq.onnx").write_bytes(b"\0")
    answer = run("deploy", "out", "--to", "onnxruntime")
    assert answer.code == 2
    assert "is damaged" in answer.err


def test_another_float_model_is_not_deployed(studied: Callable[..., Run], run: Run, work: Path) -> None:
    studied("tensorrt-implicit")
    (work / "m.onnx").write_bytes((work / "out" / "minmax.qdq.onnx").read_bytes())
    answer = run("deploy", "out", "--to", "deepstream")
    assert answer.code == 2
    assert "no longer the float model that was studied" in answer.err


def test_a_folder_with_something_in_it_is_kept(studied: Callable[..., Run], run: Run, work: Path) -> None:
    studied()
    (work / "mine").mkdir()
    (work / "mine" / "notes.txt").write_text("mine")
    assert run("deploy", "out", "--to", "onnxruntime", "--out", "mine").code == 2
    assert run("deploy", "out", "--to", "onnxruntime", "--out", "mine", "--overwrite").code == 0
    assert (work / "mine" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("arguments", [("nowhere",), ("out", "--candidate", "nobody")])
def test_what_is_not_there_is_said_in_a_line(
    studied: Callable[..., Run], run: Run, arguments: tuple[str, ...]
) -> None:
    studied()
    answer = run("deploy", *arguments, "--to", "onnxruntime")
    assert answer.code == 2
    assert answer.err.count("\n") == 1


def test_an_input_that_nvinfer_cannot_be_told_is_refused(
    studied: Callable[..., Run], run: Run, work: Path
) -> None:
    studied("tensorrt-implicit")
    content = json.loads((work / "out" / "study.json").read_text())
    content["model"]["profile"] = {"preparation": {"mean": [0.5]}}
    (work / "out" / "study.json").write_text(json.dumps(content))
    (work / "out" / "SHA256SUMS").unlink()
    answer = run("deploy", "out", "--to", "deepstream")
    assert answer.code == 2
    assert "how nvinfer would prepare" in answer.err
