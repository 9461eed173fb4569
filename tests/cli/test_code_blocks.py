"""Every block of code in the documents is run, or the table below says why not.

Commands run as they stand, in a folder where each model, data set and run that they name is a small one.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from toy_detector import detector, write_coco, write_images

from calibrant.cli import main
from pages import PAGES, ROOT, Block, blocks_of
from tiny_checkpoints import write_checkpoint, write_texts

# Beginnings of commands, or words of theirs, and what keeps them from being run here.
NOT_RUN = {
    "pip install": "tests/cli/test_wheel.py installs the wheel",
    "make demo": "takes minutes; tests/demo runs a smaller one",
    "calibrant demo text": "takes minutes; tests/demo runs a smaller one",
    "yolo11x.onnx": "needs a model of 228 MB",
    "yolo export": "needs Ultralytics and a trained model",
    "trtexec": "needs TensorRT and an NVIDIA GPU",
    "--runtime tensorrt": "needs TensorRT and an NVIDIA GPU; tests/runtimes plays it with a stand-in",
    "$P": "needs TensorRT and an NVIDIA GPU",
    "python benchmarks/": "takes hours on models that are not in the repository",
    "python fuzz/": "takes a minute a parser; tests/fuzz draws inputs for each",
    "gh pr": "needs an account",
    "rec.onnx": "needs a recognizer and labelled lines; tests/tasks/recognition has small ones",
    "tiny.en": "needs a Whisper; tests/tasks/speech has a small one",
    "en_US-joe-medium": "needs a voice; tests/tasks/synthesis has a small one",
    "runs/ppocr": "needs a recognizer and labelled lines; tests/cli/test_diagnose.py has small ones",
    "det.onnx": "needs a detector of text and labelled pages; tests/tasks/text_detection has small ones",
    "ocr/": "needs a folder of models and labelled pages; tests/tasks/page has small ones",
    "classifier.onnx": "needs a classifier and labelled images; tests/tasks/classification has small ones",
    "segmenter.onnx": "needs a segmenter and masks; tests/tasks/semantic has small ones",
    "yolo11n-": "needs heads of instances; tests/cli/test_instances.py has small ones",
    "own_metric:missed": "needs that file; tests/cli/test_own_metric_command.py has one",
    "calib.npz": "needs arrays; tests/tasks/outputs writes some",
    "calibrant runs rm": "ids differ; tests/cli/test_runs.py removes runs",
    "--mlflow": "needs a server; tests/cli/test_mlflow.py logs to a store of MLflow's own",
    "--executor": "needs processes or a cluster; tests/cli/test_executors.py and tests/studies/test_ray.py",
    "ray start": "needs a cluster; tests/studies/test_ray.py has one",
    "--pdf": "needs a browser; tests/reports prints a page where there is one",
}
# What is no program: what one prints, a formula, a file that its own test reads.
NO_CODE = {"": "output", "text": "output or a formula", "yaml": "read by the tests of its page"}

MODELS = ("model", "best", "fastestdet_352", "yolov5n_640", "yolox_nano_416")
IMAGES = ("images", "more-images", "calibration_images", "train2017")
DATA = ("instances_val2017_300.json", "labels.json")
RUNS = ("yolov5n_640-…", "…", "candidate", "model-20261123-034900", "8.5", "10")
STORE = "runs.sqlite"
SWEEP = "models: best.onnx\ndatasets: {calib: images, data: labels.json}\ncalibrators: minmax\n"
BLOCKS = [block for page in PAGES if page.name != "README.zh-CN.md" for block in blocks_of(page)]


def reason_against(command: str) -> str | None:
    """Why a command is not run; None: it is."""
    return next((why for word, why in NOT_RUN.items() if word in command), None)


def exit_code(command: str) -> int:
    """Run a line of ``calibrant …`` in this process; searches are given seconds for their minutes."""
    command = re.sub(r"--budget \S+", "--budget 2s", command)
    code: object = 0
    try:
        main(shlex.split(command, comments=True)[1:])
    except SystemExit as exit_:
        code = exit_.code
    assert isinstance(code, int)
    return code


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that holds, small, all that the documents name."""
    folder = tmp_path_factory.mktemp("documents")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CALIBRANT_CACHE", str(folder / "cache"))
        patch.setenv("CALIBRANT_STORE", str(folder / STORE))
        make_models_and_data(folder)
        make_runs()
        yield folder


def make_models_and_data(folder: Path) -> None:
    model = detector()
    model.graph.node[2].name = "Conv_44"
    for name in MODELS:
        onnx.save(model, folder / f"{name}.onnx")
    for seed, name in enumerate(IMAGES, start=1):
        write_images(folder / name, 4, seed)
    labels = write_coco(folder / "test", 24).read_text("utf-8")
    for name in DATA:
        (folder / name).write_text(labels.replace('"file_name": "', '"file_name": "test/images/'))
    shutil.copy(ROOT / "src/calibrant/tasks/detection/profiles/yolov5.yaml", folder / "my_detector.yaml")
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "data.yaml").write_text("names: [red, blue]\nval: val/images\n")
    make_ultralytics(folder / "val")
    write_checkpoint(folder / "Qwen2.5-7B", "qwen2", num_hidden_layers=1)
    for name in ("calib", "test"):
        write_texts(
            folder / f"{name}.jsonl", [f"{name} {n} went {n * n} times to the market" for n in range(6)]
        )


def make_ultralytics(folder: Path) -> None:
    squares = write_images(folder / "images", 24, 1000)
    (folder / "labels").mkdir()
    for image, found in zip(sorted((folder / "images").iterdir()), squares, strict=True):
        rows = (f"{s.label} {(s.column + 0.5) / 8} {(s.row + 0.5) / 8} {1 / 8} {1 / 8}\n" for s in found)
        (folder / "labels" / f"{image.stem}.txt").write_text("".join(rows))


def make_runs() -> None:
    study = "calibrant study yolov5n_640.onnx --calib images/ --data data.yaml --out runs/made"
    assert exit_code(study) == 0
    for name in RUNS:
        shutil.copytree("runs/made", Path("runs") / name)
    optimize = "calibrant optimize runs/made --budget 2s --out recipe"
    assert exit_code(optimize) == 0
    shutil.copy("recipe/optimized.recipe.yaml", ".")
    for calibrator in ("entropy2", "legacy", "minmax"):
        shutil.copy(f"runs/made/{calibrator}.cache", f"fastestdet_352.{calibrator}.cache")


def test_every_block_says_what_it_is() -> None:
    assert len(BLOCKS) > 30
    known = {"python", "sh", "console", *NO_CODE}
    assert [block.place for block in BLOCKS if block.language not in known] == []


def test_every_reason_is_of_a_command_that_stands_somewhere() -> None:
    commands = [command for block in BLOCKS for command in block.commands]
    assert [word for word in NOT_RUN if not any(word in command for command in commands)] == []
    scripts = {word for command in commands for word in command.split() if word.endswith(".py")}
    assert [script for script in scripts if not (ROOT / script).is_file()] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=lambda b: b.place)
def test_python_runs(block: Block) -> None:
    exec(compile(block.text, block.place, "exec"), {})


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in BLOCKS if b.commands], ids=lambda b: b.place)
def test_commands_run(
    block: Block, world: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIBRANT_STORE", str(world / STORE))
    for command in block.commands:
        if reason_against(command) is None:
            assert command.startswith("calibrant "), f"{command}: neither run nor in the table of reasons"
            assert exit_code(command) == (1 if " cache diff " in command else 0), capsys.readouterr().err
