from __future__ import annotations

import contextlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.tasks.detection.datasets import open_dataset
from label_files import PICTURES, Picture, coco_content, dropped, write_coco, write_image, write_images

Content = dict[str, Any]


def refused(folder: Path, content: object, match: str) -> None:
    path = write_coco(folder)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=match) as caught:
        open_dataset(path)
    assert "\n" not in str(caught.value)


# --- what is read ----------------------------------------------------------------------------------


def test_numbers_are_the_files_own(tmp_path: Path) -> None:
    content = coco_content()
    box = [124.71, 0.1 + 0.2, 3.3000000000000003, 1 / 3]
    content["annotations"][0] |= {"bbox": box, "area": 1.25, "iscrowd": 1}
    truth = open_dataset(write_coco(tmp_path, content=content)).samples[0].truth
    assert truth.xywh[0].tolist() == box
    assert truth.areas.tolist() == [1.25, 64 * 48]
    assert truth.crowd.tolist() == [True, False]


def test_categories_are_in_order_of_id(tmp_path: Path) -> None:
    content = coco_content()
    content["categories"].reverse()
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert [category.id for category in dataset.categories] == [1, 3, 5]
    assert dataset.samples[0].truth.classes.tolist() == [0, 2]


def test_boxes_go_to_their_images_in_any_order(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"].reverse()
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert [sample.truth.classes.tolist() for sample in dataset.samples] == [[2, 0], [1], []]


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        ("labels.json", "."),
        ("labels.json", "images"),
        ("instances_val2017.json", "val2017"),
        ("labels.json", "photos"),
        ("annotations/instances_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
    ],
)
def test_images_are_found_near_the_labels(tmp_path: Path, labels: str, images: str) -> None:
    path = tmp_path / labels
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(coco_content()))
    write_images(tmp_path / images, PICTURES)
    samples = open_dataset(path).samples
    assert [sample.path for sample in samples] == [tmp_path / images / picture.name for picture in PICTURES]
    assert open_dataset(tmp_path).box_count == 3


def test_of_two_folders_the_one_with_more_images_is_meant(tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    write_image(tmp_path / "preview" / PICTURES[0].name)
    assert open_dataset(path).samples[0].path.parent.name == "images"


def test_a_folder_named_by_the_labels_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "instances_val.json"
    path.write_text(json.dumps(coco_content()))
    for folder in ("train", "val"):
        write_images(tmp_path / folder, PICTURES)
    assert open_dataset(path).samples[0].path.parent.name == "val"


def test_names_may_have_folders_in_them(tmp_path: Path) -> None:
    pictures = [Picture("day/1.png"), Picture("night\\1.png")]
    content = coco_content(pictures)
    for name in ("day/1.png", "night/1.png"):
        write_image(tmp_path / "images" / name)
    (tmp_path / "labels.json").write_text(json.dumps(content))
    assert [sample.id for sample in open_dataset(tmp_path / "labels.json").samples] == [
        "day/1.png",
        "night\\1.png",
    ]


def test_a_placeholder_category_is_left_out(tmp_path: Path) -> None:
    content = coco_content()
    content["categories"] = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        *({**category, "supercategory": "animals"} for category in content["categories"]),
    ]
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert [category.name for category in dataset.categories] == ["cat", "dog", "bird"]
    assert dataset.warnings == ("the category 'animals' labels nothing and was left out",)


def test_a_used_or_ordinary_category_is_kept(tmp_path: Path) -> None:
    content = coco_content()
    content["categories"].append({"id": 9, "name": "fish"})
    assert len(open_dataset(write_coco(tmp_path, content=content)).categories) == 4


# --- what is dropped, with a warning ---------------------------------------------------------------


@pytest.mark.parametrize(
    "box",
    [
        [1, 1, 0, 5],
        [1, 1, 5, -3],
        [math.nan, 1, 2, 2],
        [1, 1, math.inf, 2],
        [0, 0, 1e9, 1e9],
        [10**400, 0, 1, 1],
        [],
        None,
    ],
)
def test_unusable_boxes_are_dropped_with_a_warning(tmp_path: Path, box: list[float] | None) -> None:
    content = coco_content()
    content["annotations"][0]["bbox"] = box
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert dataset.box_count == 2
    assert dataset.samples[0].truth.classes.tolist() == [2]
    assert dataset.warnings == (dropped("1 of 3", "b.png"),)


def test_boxes_outside_the_image_are_kept_with_a_warning(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"][0]["bbox"] = [64, 0, 5, 5]
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert dataset.box_count == 3
    assert "1 of 3 boxes lie outside their image, e.g. in 'b.png'" in dataset.warnings[0]


def test_an_annotation_without_a_box_is_dropped_with_a_warning(tmp_path: Path) -> None:
    content = coco_content()
    del content["annotations"][1]["bbox"]
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert dataset.box_count == 2
    assert dataset.warnings == (dropped("1 of 3", "b.png"),)


@pytest.mark.parametrize(
    ("value", "is_crowd"),
    [
        *((value, True) for value in (1, True, 1.0, "1", "true", "Yes")),
        *((value, False) for value in (0, False, "0", "false", "None", None, "")),
    ],
)
def test_crowd_flags_may_be_words(tmp_path: Path, value: object, is_crowd: bool) -> None:
    content = coco_content()
    content["annotations"][0]["iscrowd"] = value
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert dataset.samples[0].truth.crowd.tolist() == [is_crowd, False]
    assert dataset.warnings == ()


@pytest.mark.parametrize("value", ["maybe", 2, -1, [1], {"is": 1}, math.nan])
def test_a_crowd_flag_that_is_neither_is_told(tmp_path: Path, value: object) -> None:
    content = coco_content()
    content["annotations"][0]["iscrowd"] = value
    dataset = open_dataset(write_coco(tmp_path, content=content))
    assert dataset.samples[0].truth.crowd.tolist() == [False, False]
    assert "1 of 3 iscrowd flags are neither yes nor no" in dataset.warnings[0]


# --- large files -----------------------------------------------------------------------------------

ONE_BOX = {"id": 0, "image_id": 100, "category_id": 1, "bbox": [1.5, 2, 3, 4], "area": 12, "iscrowd": 0}


def seconds_to_open(path: Path) -> float:
    start = time.process_time()
    with contextlib.suppress(DataError):
        open_dataset(path)
    return time.process_time() - start


@pytest.mark.parametrize("key", ["categories", "annotations", "images"])
def test_a_tenth_of_the_largest_files_is_read_in_a_tenth_of_ten_seconds(tmp_path: Path, key: str) -> None:
    content = coco_content()
    name = {"categories": "name", "annotations": "unused", "images": "file_name"}[key]
    more = [ONE_BOX if key == "annotations" else {"id": 1000 + n, name: f"x{n}"} for n in range(100_000)]
    content[key] += more[:10_000] if key == "categories" else more
    assert seconds_to_open(write_coco(tmp_path, content=content)) < 1.5


def test_numbers_of_a_large_file_are_the_same_as_of_a_small_one(tmp_path: Path) -> None:
    content = coco_content()
    content["annotations"] += [dict(ONE_BOX, bbox=[1, 2.5, 3, 10**400])] * 2
    content["annotations"] += [dict(ONE_BOX, bbox=(1, 2.5, 3, 4))] * 2
    truth = open_dataset(write_coco(tmp_path, content=content)).samples[0].truth
    assert truth.xywh[-2:].tolist() == [[1, 2.5, 3, 4]] * 2


# --- what is refused -------------------------------------------------------------------------------


def test_a_folder_with_two_json_files_is_ambiguous(tmp_path: Path) -> None:
    write_coco(tmp_path)
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match="2 JSON files"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, {}, "text", [1], [[]]])
def test_missing_lists_are_named(tmp_path: Path, key: str, value: object) -> None:
    refused(tmp_path, coco_content() | {key: value}, f"no list of '{key}'")


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("images", "id"),
        ("images", "file_name"),
        ("annotations", "image_id"),
        ("annotations", "category_id"),
        ("categories", "id"),
        ("categories", "name"),
    ],
)
def test_missing_fields_are_named(tmp_path: Path, key: str, field: str) -> None:
    content = coco_content()
    del content[key][0][field]
    refused(tmp_path, content, f"'{field}' is missing or of the wrong type in")


@pytest.mark.parametrize(("key", "field"), [("images", "id"), ("images", "file_name"), ("categories", "id")])
def test_duplicates_are_refused(tmp_path: Path, key: str, field: str) -> None:
    content = coco_content()
    content[key][1][field] = content[key][0][field]
    refused(tmp_path, content, r"^1 of 3 .* are duplicates, e\.g\. '.*'; ")


@pytest.mark.parametrize("field", ["image_id", "category_id"])
def test_annotations_of_nothing_are_counted(tmp_path: Path, field: str) -> None:
    content = coco_content()
    content["annotations"][1][field] = 77
    refused(tmp_path, content, rf"^1 of 3 annotations .* have a {field} not among .* e\.g\. '77'; ")


@pytest.mark.parametrize(
    "name", ["../one.png", "/etc/passwd", "a/../../b.png", "C:\\b.png", "..\\b.png", "", "a\0b"]
)
def test_names_must_stay_in_the_image_folder(tmp_path: Path, name: str) -> None:
    content = coco_content()
    content["images"][1]["file_name"] = name
    refused(tmp_path, content, "leads out of its folder")


@pytest.mark.parametrize("box", [[1, 2, 3], "1 2 3 4", [1, 2, 3, "4"], [1, 2, 3, None], [True, 1, 2, 3]])
def test_malformed_boxes_are_shown(tmp_path: Path, box: object) -> None:
    content = coco_content()
    content["annotations"][0]["bbox"] = box
    refused(tmp_path, content, "bbox")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "[1, 2]", '"text"', "\x00", "9" * 5000])
def test_what_is_not_coco_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"^'.*labels\.json' (is not valid JSON|holds a JSON).*; "):
        open_dataset(path)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_bytes(b'{"images": "\xff\xfe"}')
    with pytest.raises(DataError, match="not UTF-8"):
        open_dataset(path)


def test_labels_without_any_image_nearby(tmp_path: Path) -> None:
    write_images(tmp_path / "another-set", PICTURES)
    path = tmp_path / "set" / "labels.json"
    path.parent.mkdir()
    path.write_text(json.dumps(coco_content()))
    with pytest.raises(DataError, match=r"not beside it, e\.g\. 'b\.png'"):
        open_dataset(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), value=json_values)
def test_no_malformed_file_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, value: object
) -> None:
    folder = tmp_path_factory.getbasetemp() / "malformed"
    path = folder / "labels.json"
    if not path.exists():
        write_coco(folder)
    content = coco_content()
    key = data.draw(st.sampled_from(["images", "annotations", "categories"]))
    records = content[key]
    where = data.draw(st.sampled_from(["list", "record", "field"]))
    if where == "list":
        content[key] = value
    elif where == "record":
        records[data.draw(st.integers(0, len(records) - 1))] = value
    else:
        fields = sorted({*records[0], "area", "iscrowd", "supercategory"})
        records[data.draw(st.integers(0, len(records) - 1))][data.draw(st.sampled_from(fields))] = value
    path.write_text(json.dumps(content))
    try:
        dataset = open_dataset(path)
    except DataError as error:
        message = str(error)
        assert message.isprintable()
    else:
        assert all(np.isfinite(sample.truth.xywh).all() for sample in dataset.samples)


def test_boxes_that_all_lack_a_number_are_refused(tmp_path: Path) -> None:
    labels = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(DataError, match=r"\[left, top, width, height\]"):
        open_dataset(tmp_path / "labels.json")
