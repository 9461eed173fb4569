"""What a data set says that it was trained on calibrates where nobody names anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.detection.datasets import training_images
from calibrant.tasks.registry import calibration_of
from label_files import PICTURES, write_coco, write_images, write_ultralytics


@pytest.mark.parametrize("entry", ["images/train", "[images/train]", "../images/train"])
def test_the_train_images_of_a_data_yaml(tmp_path: Path, entry: str) -> None:
    path = write_ultralytics(tmp_path / "set")
    write_images(tmp_path / "set" / "images" / "train", PICTURES)
    path.write_text(path.read_text() + f"train: {entry}\n")
    assert training_images(path) == training_images(path.parent) == path.parent / "images/train"
    assert calibration_of(str(path)) == str(training_images(path))


def test_other_data_sets_name_none(tmp_path: Path) -> None:
    assert calibration_of(str(write_ultralytics(tmp_path / "a"))) is None
    assert calibration_of(str(write_coco(tmp_path / "b"))) is None
    assert calibration_of(str(tmp_path / "nothing")) is None


@pytest.mark.parametrize("entry", ["images/val", "images", "list.txt"])
def test_what_is_tested_on_does_not_calibrate(tmp_path: Path, entry: str) -> None:
    path = write_ultralytics(tmp_path / "set")
    (tmp_path / "set" / "list.txt").write_text(f"./images/val/{PICTURES[0].name}\n")
    path.write_text(path.read_text() + f"train: {entry}\n")
    with pytest.raises(DataError, match=r"of 'val' are in 'train' too.*--calib"):
        calibration_of(str(path))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("[images/val, images/val]", "more than one path"),
        ("nowhere", "does not exist"),
        ("{a: 1}", "more than"),
    ],
)
def test_what_cannot_be_taken_is_told(tmp_path: Path, entry: str, words: str) -> None:
    path = write_ultralytics(tmp_path / "set")
    path.write_text(path.read_text() + f"train: {entry}\n")
    with pytest.raises(DataError, match=words):
        calibration_of(str(path))
