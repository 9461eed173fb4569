from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from calibrant.core.errors import OutputError, SettingsError
from calibrant.demo.render import DemoData, render


def _drawn(folder: Path, *, seed: int = 3, test_images: int = 6) -> DemoData:
    return render(folder, test_images=test_images, calibration_images=4, seed=seed)


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.*")}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    _drawn(tmp_path / "a")
    _drawn(tmp_path / "b")
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    _drawn(tmp_path / "a", seed=3)
    _drawn(tmp_path / "b", seed=4)
    assert not set(_contents(tmp_path / "a").values()) & set(_contents(tmp_path / "b").values())


def test_more_images_leave_the_first_ones_as_they_were(tmp_path: Path) -> None:
    _drawn(tmp_path / "few", test_images=3)
    _drawn(tmp_path / "many", test_images=6)
    few, many = _contents(tmp_path / "few"), _contents(tmp_path / "many")
    assert all(many[name] == content for name, content in few.items() if name.endswith(".png"))


def test_no_image_is_in_both_sets(tmp_path: Path) -> None:
    data = _drawn(tmp_path)
    calibration = {file.read_bytes() for file in data.calibration.iterdir()}
    test = {file.read_bytes() for file in data.dataset.parent.glob("*.png")}
    assert len(calibration) == 4
    assert len(test) == 6
    assert not calibration & test


def test_labels_describe_the_files(tmp_path: Path) -> None:
    dataset = _drawn(tmp_path).dataset
    coco = json.loads(dataset.read_text())
    assert "synthetic" in coco["info"]["description"]
    assert [category["name"] for category in coco["categories"]] == ["character"]
    for image in coco["images"]:
        pixels = cv2.imread(str(dataset.parent / image["file_name"]))
        assert pixels is not None
        assert pixels.shape == (image["height"], image["width"], 3)
    ids = [annotation["id"] for annotation in coco["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert {a["image_id"] for a in coco["annotations"]} == {image["id"] for image in coco["images"]}
    assert all(a["area"] == a["bbox"][2] * a["bbox"][3] for a in coco["annotations"])


@pytest.mark.parametrize(("test_images", "seed"), [(0, 0), (1, -1)])
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, test_images: int, seed: int) -> None:
    with pytest.raises(SettingsError):
        render(tmp_path / "none", test_images=test_images, calibration_images=1, seed=seed)
    assert not (tmp_path / "none").exists()


def test_an_unwritable_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        _drawn(tmp_path / "file")
