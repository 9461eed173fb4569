"""``calibrant coverage``: on a detector that is always right, so that what is found must be there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from outcomes import Run
from toy_detector import Square, drawn, write_images

from calibrant.tasks.detection import calibration_samples
from calibrant.tasks.media.images import read_image


def scenery(folder: Path, count: int, seed: int, size: int = 64) -> None:
    """Pictures of soft blobs: no two look the same, as grounds of noise do not."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        coarse = np.random.default_rng(seed + index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{seed}-{index:02}.png"), cv2.resize(coarse, (size, size)))


@pytest.fixture
def coverage(run: Run) -> Any:
    def called(*options: object) -> dict[str, Any]:
        answer = run(
            "coverage", "m.onnx", "--calib", "calib", "--calibrators", "minmax,entropy2", "--shuffles", 2,
            "--out", "out", "--json", *options,
        )  # fmt: skip
        assert answer.code == 0, answer.err
        content: dict[str, Any] = json.loads(answer.out)
        return content

    return called


def test_everything_is_measured_and_written(coverage: Any, work: Path) -> None:
    write_images(work / "calib", 20, seed=1)
    found = coverage("--data", "test")
    assert {**json.loads((work / "out" / "coverage.json").read_text()), "out": "out"} == found
    assert found["schema_version"] == 2
    assert [(s["role"], s["samples"]) for s in found["sets"]] == [("calibration", 20), ("test", 30)]
    assert found["float_value"] == pytest.approx(100)
    learning = found["learning"]
    assert learning["sizes"] == [2, 4, 8, 16, 20]
    assert learning["seeds"] == [None, 0, 1]
    assert learning["measured"] == learning["planned"]
    assert len(learning["points"]) == 2 * 3 * 5
    minmax = [point for point in learning["points"] if point["calibrator"] == "minmax"]
    assert {point["value"] for point in minmax if point["samples"] == 20} == {100.0}
    assert [order["largest"] for order in found["order"] if order["calibrator"] == "minmax"] == [0]
    assert found["representation"]["verdict"] == "represents"
    assert {f["name"] for f in found["contents"]["features"] if f["kind"] == "class"} == {"red", "blue"}


def test_the_selection_is_a_list_that_calib_takes(coverage: Any, work: Path) -> None:
    scenery(work / "pool", 12, seed=5)
    found = coverage("--pool", "pool")
    assert found["float_value"] is None
    assert found["representation"]["compared_with"] == "pool"
    chosen = [Path(image["path"]) for image in found["selection"]["chosen"]]
    assert 0 < len(chosen) <= 12
    assert all(image["adds"] for image in found["selection"]["chosen"])
    assert [sample.path for sample in calibration_samples(work / "out" / "selected.txt")] == chosen


def test_duplicates_and_leaks_are_found(coverage: Any, work: Path) -> None:
    scenery(work / "calib", 10, seed=50)
    shutil.copy(work / "calib" / "50-03.png", work / "calib" / "copy.png")
    cv2.imwrite(str(work / "calib" / "again.jpg"), read_image(work / "calib" / "50-05.png"))
    scenery(work / "test" / "images", 1, seed=900)
    shutil.move(work / "test" / "images" / "900-00.png", work / "test" / "images" / "1000-00.png")
    leak = read_image(work / "test" / "images" / "1000-00.png")
    cv2.imwrite(str(work / "calib" / "leak.jpg"), leak, [cv2.IMWRITE_JPEG_QUALITY, 50])
    found = coverage("--data", "test", "--budget", "0")
    pairs = {(pair["first"], pair["second"]): pair["kind"] for pair in found["duplicates"]}
    assert pairs["50-03.png", "copy.png"] == "same file"
    assert pairs["50-05.png", "again.jpg"] == "near-duplicate"
    assert ("leak.jpg", "1000-00.png") in {(pair["first"], pair["second"]) for pair in found["leaks"]}
    assert not any(image["path"].endswith("leak.jpg") for image in found["selection"]["chosen"])
    assert found["learning"]["measured"] == 0


def test_a_class_that_the_calibration_images_lack_is_named(run: Run, work: Path) -> None:
    for index, file in enumerate(sorted((work / "calib").iterdir())):
        cv2.imwrite(str(file), drawn([Square(0, index, index)], index))
    answer = run(
        "coverage", "--model", "m.onnx", "--calib", "calib", "--data", "test", "--budget", "0s", "--shuffles",
        2, "--calibrators", "minmax", "--out", "out",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "Class absent, 1 of 2: blue" in answer.out
    assert "Against the test set: does not represent." in answer.out
    for title in ("Does it represent?", "How many are enough?", "Which samples?"):
        assert title in answer.out


def test_arrays_are_compared_but_not_looked_at(run: Run, work: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(work / "calib.npy", rng.random((16, 3, 64, 64), dtype=np.float32))
    answer = run(
        "coverage", "m.onnx", "--calib", "calib.npy", "--data", "test", "--budget", "0", "--shuffles", 2,
        "--calibrators", "minmax", "--json", "--out", "out",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "cannot be looked at" in answer.err
    found = json.loads(answer.out)
    assert found["representation"]["verdict"] == "does not represent"
    assert (found["contents"], found["selection"], found["duplicates"]) == (None, None, [])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget", "soon"), "'soon' is no span of time; write e.g. 90s, 5m or 1h"),
        (("--model", "m.onnx"), "Give one model"),
        (("--pool", "arrays.npy"), "the pool 'arrays.npy' holds arrays; give a folder"),
        (("--data", "nowhere"), "'nowhere' does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    run: Run, work: Path, options: tuple[str, ...], words: str
) -> None:
    np.save(work / "arrays.npy", np.zeros((2, 3, 64, 64), np.float32))
    assert words in run("coverage", "m.onnx", "--calib", "calib", *options).error
    assert not (work / "runs").exists()


def test_names_of_files_are_printed_as_they_are(run: Run, work: Path) -> None:
    scenery(work / "pool", 1, seed=5)
    shutil.move(work / "pool" / "5-00.png", work / "pool" / "[bold]0[red].png")
    answer = run(
        "coverage", "m.onnx", "--calib", "calib", "--pool", "pool", "--calibrators", "minmax", "--out", "out",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "[bold]0[red].png" in answer.out.replace("\n", "")
