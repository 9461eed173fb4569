"""What holds for all label formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibrant.core.errors import DataError, SettingsError
from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.detection.types import Dataset
from label_files import CLASSES, PICTURES, Box, Picture, write_coco, write_image, write_ultralytics, write_voc

WRITERS = {"coco": write_coco, "ultralytics": write_ultralytics, "voc": write_voc}
every_format = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
Writer = Callable[..., Path]


@st.composite
def integer_boxes(draw: st.DrawFn, width: int, height: int) -> Box:
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box_width, box_height = draw(st.integers(1, width - left)), draw(st.integers(1, height - top))
    return draw(st.integers(0, 2)), left, top, box_width, box_height


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Picture, ...]:
    found = []
    for index in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(1, 300)), draw(st.integers(1, 300))
        # a set needs a box, and Ultralytics counts a repeated line once
        boxes = draw(st.lists(integer_boxes(width, height), min_size=index == 0, max_size=4, unique=True))
        found.append(Picture(f"{index}.png", width, height, tuple(boxes)))
    return tuple(found)


def by_id(dataset: Dataset) -> dict[str, np.ndarray]:
    """For each image's stem: class, left, top, width, height of its boxes."""
    return {
        Path(sample.id).stem: np.column_stack([sample.truth.classes, sample.truth.xywh])
        for sample in dataset.samples
    }


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(drawn=pictures())
def test_all_formats_give_the_same_boxes(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[Picture, ...]
) -> None:
    expected = {Path(picture.name).stem: np.array(picture.boxes, float).reshape(-1, 5) for picture in drawn}
    for name, write in WRITERS.items():
        dataset = open_dataset(write(tmp_path_factory.mktemp(name), drawn))
        found = by_id(dataset)
        assert list(found) == list(expected)
        for stem, rows in expected.items():
            np.testing.assert_allclose(found[stem], rows, atol=1e-6)


@every_format
def test_sizes_classes_and_backgrounds(tmp_path: Path, write: Writer) -> None:
    dataset = open_dataset(write(tmp_path))
    assert tuple(category.name for category in dataset.categories) == CLASSES
    assert {Path(sample.id).stem: (sample.width, sample.height) for sample in dataset.samples} == {
        "a": (40, 80),
        "b": (64, 48),
        "c": (32, 32),
    }
    assert dataset.box_count == 3
    assert len(dataset.warnings) == (write is write_ultralytics)  # that an image has no label file
    for sample in dataset.samples:
        np.testing.assert_allclose(sample.truth.areas, sample.truth.xywh[:, 2] * sample.truth.xywh[:, 3])
        np.testing.assert_array_equal(
            sample.truth.boxes[:, 2:], sample.truth.xywh[:, :2] + sample.truth.xywh[:, 2:]
        )


@every_format
def test_a_limit_takes_the_first_images(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path)
    whole = open_dataset(path)
    assert [sample.id for sample in open_dataset(path, limit=2).samples] == [
        sample.id for sample in whole.samples[:2]
    ]
    assert len(open_dataset(path, limit=99).samples) == 3
    with pytest.raises(SettingsError, match="limit of 0"):
        open_dataset(path, limit=0)


@every_format
def test_the_folder_will_do(tmp_path: Path, write: Writer) -> None:
    write(tmp_path)
    assert open_dataset(tmp_path).box_count == 3


@every_format
def test_a_missing_image_is_named_and_counted(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path)
    for image in tmp_path.rglob("a.png"):
        image.unlink()
    with pytest.raises(DataError, match=r"^1 of \d+ .*e\.g\. '.*\ba\.\w+'; "):
        open_dataset(path)


@every_format
def test_a_set_without_boxes_is_refused(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, [Picture("one.png", boxes=())])
    with pytest.raises(DataError, match=r"no usable labelled box|has a label file"):
        open_dataset(path)


def test_paths_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "absent")
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / ("x" * 5000))
    with pytest.raises(DataError, match="no known label format"):
        open_dataset(tmp_path)
    write_image(tmp_path / "photo.jpg")
    with pytest.raises(DataError, match="holds 1 images but no labels"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="no known label format"):
        open_dataset(tmp_path / "photo.jpg")


def test_two_formats_in_a_folder_are_ambiguous(tmp_path: Path) -> None:
    write_coco(tmp_path)
    write_voc(tmp_path)
    with pytest.raises(DataError, match="COCO JSON and Pascal VOC XML"):
        open_dataset(tmp_path)


@pytest.mark.shared
def test_the_shared_coco_images(shared: Path) -> None:
    labels = shared / "data" / "coco" / "instances_val2017_300.json"
    dataset = open_dataset(labels)
    assert (len(dataset.samples), dataset.box_count, len(dataset.categories)) == (300, 2323, 80)
    assert dataset.warnings == ()
    content = json.loads(labels.read_text())
    assert [sample.id for sample in dataset.samples] == [image["file_name"] for image in content["images"]]
    assert sum(sample.truth.crowd.sum() for sample in dataset.samples) == sum(
        annotation["iscrowd"] for annotation in content["annotations"]
    )
    assert sum(sample.truth.areas.sum() for sample in dataset.samples) == pytest.approx(
        sum(annotation["area"] for annotation in content["annotations"])
    )


def test_order_of_the_samples(tmp_path: Path) -> None:
    names = [picture.name for picture in PICTURES]
    assert [sample.id for sample in open_dataset(write_coco(tmp_path / "coco")).samples] == names
    by_name = [sample.id for sample in open_dataset(write_ultralytics(tmp_path / "yolo")).samples]
    assert by_name == sorted(names)


def test_a_video_is_no_test_set(tmp_path: Path) -> None:
    path = tmp_path / "drive.mp4"
    path.write_bytes(bytes(100))
    with pytest.raises(DataError, match=r"is a video; give images: .*, and label them as one of: COCO JSON"):
        open_dataset(path)


@pytest.mark.parametrize("suffix", [".jfif", ".mpo", ".JPE"])
def test_other_suffixes_of_jpeg_are_images(tmp_path: Path, suffix: str) -> None:
    path = write_ultralytics(tmp_path, [Picture("one.jpg")])
    image = tmp_path / "images" / "val" / "one.jpg"
    image.rename(image.with_suffix(suffix))
    assert open_dataset(path).samples[0].path.suffix == suffix


def test_the_images_of_a_coco_file_may_lie_anywhere(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "set")
    (tmp_path / "set" / "images").rename(tmp_path / "photos")
    assert open_dataset(path, images=tmp_path / "photos").samples[0].path.parent == tmp_path / "photos"
    with pytest.raises(DataError, match="or name it with --images"):
        open_dataset(path)
    with pytest.raises(DataError, match=r"'.*elsewhere' does not exist"):
        open_dataset(path, images=tmp_path / "elsewhere")


def test_labels_that_name_their_images_take_no_other_folder(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path)
    with pytest.raises(SettingsError, match=r"Ultralytics data.yaml say where their images are"):
        open_dataset(path, images=tmp_path)
