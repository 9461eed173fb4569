"""Instance segmentation, keypoints and oriented boxes by ``calibrant study``, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outcomes import Outcome, Run
from toy_detector import saved, write_images
from toy_instances import instance_model, write_instances, write_lines

TASKS = {"segment": "segmentation", "pose": "keypoints", "obb": "oriented"}


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_instances(tmp_path / "shapes", 30, seed=2000)


def studied(run: Run, kind: str, labels: Path, *options: str) -> Outcome:
    saved(instance_model(kind), Path("heads.onnx"))
    write_images(Path("calib"), 4, seed=1)
    return run(
        "study", "heads.onnx", "--calib", "calib", "--data", labels, "--out", "out", "--calibrators",
        "minmax,percentile:90", *options,
    )  # fmt: skip


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_head_is_recognised_and_ranked(run: Run, labels: Path, kind: str, form: str) -> None:
    data = labels if form == "json" else write_lines(labels.parent, labels, kind)
    answer = studied(run, kind, data)
    assert answer.code == 0, answer.err
    content = json.loads(Path("out/study.json").read_text())
    assert content["task"] == TASKS[kind]
    assert content["baseline"]["score"]["value"] == pytest.approx(100, abs=1e-3)
    assert content["baseline"]["figures"]["box_map50_95"] == pytest.approx(100, abs=1e-3)
    assert content["model"]["family"] == f"yolov8-{kind}"
    by_name = {trial["calibrator"]: trial for trial in content["trials"]}
    assert by_name["minmax"]["score"]["value"] > 90
    assert Path("out/report.html").is_file()


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_seen_can_be_drawn(run: Run, work: Path, labels: Path, kind: str) -> None:
    saved(instance_model(kind), work / "heads.onnx")
    image = next((labels.parent / "images").iterdir())
    answer = run("inspect", "heads.onnx", "--sample", image, "--out", "seen.png")
    assert answer.code == 0, answer.err
    assert "that score 0.25 or more" in answer.out
    assert (work / "seen.png").read_bytes()[:4] == b"\x89PNG"


def test_prototypes_are_evidence_enough(run: Run, work: Path) -> None:
    saved(instance_model("segment", metadata=False), work / "heads.onnx")
    answer = run("inspect", "heads.onnx", "--json")
    assert json.loads(answer.out)["task"] == "segmentation"


def test_keypoints_without_metadata_take_a_family(run: Run, work: Path) -> None:
    saved(instance_model("obb", metadata=False), work / "heads.onnx")
    answer = run("inspect", "heads.onnx", "--family", "yolov8-obb", "--json")
    assert json.loads(answer.out)["task"] == "oriented"


@pytest.mark.parametrize("kind", TASKS)
def test_boxes_are_no_labels_of_shapes(run: Run, work: Path, kind: str) -> None:
    answer = studied(run, kind, work / "test" / "labels.json")
    assert answer.code == 2
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("kind", TASKS)
def test_a_diagnosis_says_what_changed(run: Run, labels: Path, kind: str) -> None:
    assert studied(run, kind, labels, "--diagnose-budget", "0").code == 0
    answer = run("diagnose", "out", "--candidate", "percentile:90")
    assert answer.code == 0, answer.err
    assert "that FP32 shows above 0.25" in answer.out


def test_a_head_is_configured_for_deepstream(run: Run, labels: Path) -> None:
    assert studied(run, "pose", labels, "--scheme", "tensorrt-implicit", "--diagnose-budget", "0").code == 0
    answer = run("deploy", "out", "--to", "deepstream", "--candidate", "minmax")
    assert answer.code == 0, answer.err
    assert "maintain-aspect-ratio=1" in Path("out/deploy-deepstream/config_infer.txt").read_text()
