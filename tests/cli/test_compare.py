"""``calibrant compare``: runs of one model beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run
from toy_detector import detector, saved, weight, with_weight, write_coco


@pytest.fixture
def runs(study: Run, work: Path) -> Path:
    """``runs/a`` and ``runs/b``: minmax alike, percentile:90 in both, mse only in the second."""
    assert study(calibrators="minmax,percentile:90", out="runs/a").code == 0
    assert study(calibrators="minmax,percentile:90,mse", out="runs/b").code == 0
    return work / "runs"


def edited(folder: Path, change: Any) -> None:
    content = json.loads((folder / "study.json").read_text())
    change(content)
    (folder / "study.json").write_text(json.dumps(content))
    (folder / "SHA256SUMS").unlink()  # as a run of an older version, which has none


def swap(folder: Path, first: int, second: int) -> None:
    """Let one trial's accuracy and evidence be another's, as if a new version had broken it."""

    def change(content: Any) -> None:
        trials = content["trials"]
        trials[first]["score"] = trials[second]["score"]
        trials[first]["files"]["evidence"] = trials[second]["files"]["evidence"]

    edited(folder, change)


def test_the_same_study_twice_differs_in_nothing(run: Run, runs: Path) -> None:
    answer = run("compare", "runs/a", "runs/b", "--fail-on-drop", "0", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert found["samples"] == 30
    assert list(found["cells"]) == ["fp32", "minmax", "percentile:90", "mse"]
    assert [(c["name"], c["loss"], c["is_real"]) for c in found["changes"]] == [
        ("fp32", 0, False),
        ("minmax", 0, False),
        ("percentile:90", 0, False),
    ]
    assert found["cells"]["minmax"][0]["interval"] == [100, 100]
    assert found["cells"]["mse"][0] is None
    assert [(s["name"], s["moved"]) for s in found["scales"]] == [("minmax", []), ("percentile:90", [])]


def test_a_matrix_for_people(run: Run, runs: Path) -> None:
    answer = run("compare", "runs/a", "runs/b")
    assert answer.code == 0
    assert "[A] onnxruntime" in answer.out
    assert "100.00 (100.0 to 100.0)" in answer.out
    assert "minmax, A to B: +0.00 points, indistinguishable from chance" in answer.out
    assert "minmax, A to B: all 2 scales agree within 0.1%" in answer.out


def test_differences_that_are_read_together_say_so(run: Run, runs: Path) -> None:
    answer = run("compare", "runs/a", "runs/b", "--joint", "12")
    assert "minmax, A to B: +0.00 points" in answer.out
    assert "(joint 95 %, one of 12, interval" in answer.out
    assert json.loads(run("compare", "runs/a", "runs/b", "--joint", "12", "--json").out)["joint"] == 12


def test_the_same_images_may_lie_elsewhere(run: Run, runs: Path) -> None:
    def moved(content: Any) -> None:
        content["settings"]["options"]["images"] = "/another/machine/images"

    edited(runs / "b", moved)
    assert run("compare", "runs/a", "runs/b").code == 0


def test_a_real_drop_is_told_and_ends_with_3(run: Run, runs: Path) -> None:
    swap(runs / "b", 0, 1)
    answer = run("compare", "runs/a", "runs/b", "--fail-on-drop", "0.5")
    assert answer.code == 3
    assert "minmax, A to B: -100.00 points, real (95 % interval -100.00 to -100.00)" in answer.out
    assert "minmax in runs/b: 100.00 points lost, more than 0.5" in answer.err
    assert run("compare", "runs/a", "runs/b").code == 0
    assert run("compare", "runs/b", "runs/a", "--fail-on-drop", "0.5").code == 0  # a gain is no drop


def test_a_model_that_no_longer_runs_ends_with_3(run: Run, runs: Path) -> None:
    def fail(content: Any) -> None:
        content["trials"][0].update(status="failed", reason="TensorRT 11 crashed (SIGSEGV)", score=None)
        del content["trials"][0]["files"]["evidence"]

    edited(runs / "b", fail)
    answer = run("compare", "runs/a", "runs/b", "--fail-on-drop", "50")
    assert answer.code == 3
    assert "minmax in runs/b: TensorRT 11 crashed (SIGSEGV)" in answer.err
    assert "failed" in answer.out


def test_a_model_that_was_stopped_has_no_drop_and_ends_with_3(run: Run, runs: Path) -> None:
    def stop(content: Any) -> None:
        content["trials"][0].update(
            status="stopped", reason="significantly worse after 25 images", samples=25
        )
        del content["trials"][0]["files"]["evidence"]

    edited(runs / "b", stop)
    answer = run("compare", "runs/a", "runs/b", "--fail-on-drop", "50")
    assert answer.code == 3
    assert "stopped after 25" in answer.out
    assert "significantly worse after 25 images; study it with --no-race to know its score" in answer.err
    assert run("compare", "runs/b", "runs/a", "--fail-on-drop", "50").code == 0


def test_scales_that_moved_are_named(run: Run, runs: Path) -> None:
    cache = runs / "b" / "minmax.cache"
    lines = cache.read_text().splitlines()
    name = lines[1].rpartition(": ")[0]
    cache.write_text("\n".join([lines[0], f"{name}: 3f800000", *lines[2:], ""]))
    (runs / "b" / "SHA256SUMS").unlink()
    answer = run("compare", "runs/a", "runs/b", "--json")
    moved = json.loads(answer.out)["scales"][0]["moved"]
    assert [(change["tensor"], change["scale"][1]) for change in moved] == [(name, 1.0)]
    assert f"1 of 2 scales moved, most: {name} +" in run("compare", "runs/a", "runs/b").out


def test_without_evidence_nothing_is_called_real(run: Run, runs: Path) -> None:
    edited(runs / "b", lambda content: content["trials"][0]["files"].pop("evidence"))
    answer = run("compare", "runs/a", "runs/b")
    assert "minmax, A to B: +0.00 points (no evidence was kept" in answer.out


def test_other_models_and_data_are_refused(run: Run, study: Run, runs: Path, work: Path) -> None:
    model = detector()
    saved(with_weight(model, "head_b", weight(model, "head_b") * 1.5), work / "other.onnx")
    assert study(model="other.onnx", out="runs/other").code == 0
    error = run("compare", "runs/a", "runs/other").error
    assert error.startswith("runs/a and runs/other differ in model (")
    assert error.endswith("compare runs of one model on the same data")
    write_coco(work / "fewer", 29, seed=1000)
    assert study(data="fewer", out="runs/fewer").code == 0
    assert "differ in test images" in run("compare", "runs/a", "runs/fewer").error


def test_what_is_no_run_is_told(run: Run, runs: Path, work: Path) -> None:
    assert "a comparison takes two runs or more" in run("compare", "runs/a").error
    assert "runs/c is no folder" in run("compare", "runs/a", "runs/c").error
    assert "cannot read calib/study.json" in run("compare", "runs/a", "calib").error
    edited(runs / "b", lambda content: content.update(schema_version=99))
    assert (
        "has schema version 99, not 1 or 2; run the study again" in run("compare", "runs/a", "runs/b").error
    )


def test_damaged_evidence_is_told(run: Run, runs: Path) -> None:
    (runs / "b" / "evidence" / "fp32.npz").write_bytes(b"nothing")
    error = run("compare", "runs/a", "runs/b").error
    assert "runs/b/evidence/fp32.npz is damaged" in error
    assert "calibrant resume runs/b" in error
    (runs / "b" / "SHA256SUMS").unlink()
    assert "cannot read runs/b/evidence/fp32.npz" in run("compare", "runs/a", "runs/b").error


def test_a_damaged_run_is_made_again(run: Run, runs: Path) -> None:
    for name in ("evidence/fp32.npz", "minmax.cache"):
        (runs / "b" / name).write_bytes(b"nothing")
    answer = run("resume", "runs/b")
    assert answer.code == 0
    assert "2 files of runs/b are damaged or missing, e.g. 'evidence/fp32.npz'" in answer.err
    assert run("compare", "runs/a", "runs/b").code == 0
    assert run("resume", "runs/b").err == ""
