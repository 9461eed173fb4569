from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibrant.core.errors import DataError, ImageError
from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.detection.types import Dataset
from label_files import PICTURES, Picture, write_image, write_ultralytics


def opened_with_line(folder: Path, line: str, extra: str = "") -> Dataset:
    """A set of one 64x48 image whose label file is ``line``."""
    path = write_ultralytics(folder, [Picture("one.png", 64, 48)])
    (folder / "labels" / "val" / "one.txt").write_text(line)
    path.write_text(path.read_text() + extra)
    return open_dataset(path)


def rewritten(folder: Path, text: str) -> Path:
    path = write_ultralytics(folder)
    path.write_text(text)
    return path


# --- data.yaml -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "val: images/val\nnames: [cat, dog, bird]",
        "val: images\nnames: {0: cat, 1: dog, 2: bird}\nnc: 3",
        "val: ./images/val/\nnc: 3",
        "val: [images/val]\nnc: 3",
        "path: .\nval: images/val\nnc: 3",
        "path: elsewhere\nval: images/val\nnc: 3",
        "val: ../images/val\nnc: 3",
        "test: images/val\nnc: 3",
        "validation: images/val\nnc: 3",
        "val: images/val\nnames: {'0': cat, '1': dog, '2': bird}",
        "path: images\nval: rooted.txt\nnc: 3",
        "val: list.txt\nnc: 3",
    ],
)
def test_the_ways_to_say_where_the_images_are(tmp_path: Path, text: str) -> None:
    path = rewritten(tmp_path, text)
    (tmp_path / "list.txt").write_text("".join(f"./images/val/{picture.name}\n" for picture in PICTURES))
    (tmp_path / "rooted.txt").write_text("".join(f"val/{picture.name}\n" for picture in PICTURES))
    dataset = open_dataset(path)
    assert dataset.box_count == 3
    assert len(dataset.categories) == 3


def test_an_absolute_root(tmp_path: Path) -> None:
    write_ultralytics(tmp_path / "set")
    path = tmp_path / "data.yaml"
    path.write_text(f"path: '{tmp_path / 'set'}'\nval: images/val\nnc: 3")
    assert open_dataset(path).box_count == 3


def test_a_list_keeps_its_order(tmp_path: Path) -> None:
    path = rewritten(tmp_path, "val: list.txt\nnc: 3")
    (tmp_path / "list.txt").write_text("".join(f"images/val/{picture.name}\n" for picture in PICTURES))
    assert [sample.id for sample in open_dataset(path).samples] == [picture.name for picture in PICTURES]


def test_the_name_says_which_images_were_taken(tmp_path: Path) -> None:
    assert open_dataset(write_ultralytics(tmp_path)).name == "data (val)"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("val: images/val\nnames: []", "'names' must list"),
        ("val: images/val", "'names' must list"),
        ("val: images/val\nnames: {0: cat, 2: dog}", "'names' must list"),
        ("val: images/val\nnames: {a: cat}", "'names' must list"),
        ("val: images/val\nnames: [cat]\nnc: 3", "nc is 3 but 1 names"),
        ("val: images/val\nnames: [yes, no]", "2 of 2 names .* are not text"),
        ("names: [cat]", "names no images"),
        ("val: 3\nnames: [cat]", "'val' must be a path"),
        ("val: absent\nnames: [cat]", "does not exist"),
        ("val: labels/val\nnames: [cat]", "no images are in"),
        ("val: data.yaml\nnames: [cat]", "neither a folder of images nor a .txt"),
        ("input: letterbox", "does not describe a data set"),
        ("[1, 2]", "does not describe a data set"),
        ("a: b: c", "not valid YAML"),
        ("names: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("when: 2001-99-99", "not valid YAML"),
        ("[" * 1000, "not valid YAML"),
    ],
)
def test_bad_yaml_is_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        open_dataset(rewritten(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_two_yaml_files_are_ambiguous_unless_one_is_data_yaml(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path)
    (tmp_path / "other.yaml").write_text("{}")
    assert open_dataset(tmp_path).box_count == 3
    path.rename(tmp_path / "birds.yaml")
    with pytest.raises(DataError, match="2 YAML files"):
        open_dataset(tmp_path)


# --- label files -----------------------------------------------------------------------------------


def test_labels_may_lie_beside_the_images(tmp_path: Path) -> None:
    write_image(tmp_path / "val" / "one.png", 64, 48)
    (tmp_path / "val" / "one.txt").write_text("0 0.5 0.5 0.25 0.25")
    (tmp_path / "data.yaml").write_text("val: val\nnc: 1")
    assert open_dataset(tmp_path).samples[0].truth.xywh.tolist() == [[24, 18, 16, 12]]


def test_only_the_last_images_folder_is_replaced(tmp_path: Path) -> None:
    dataset = open_dataset(write_ultralytics(tmp_path / "images" / "set"))
    assert dataset.box_count == 3


def test_polygons_become_the_boxes_around_them(tmp_path: Path) -> None:
    dataset = opened_with_line(tmp_path, "1 0.25 0.5 0.5 0.25 0.75 0.75\n")
    assert dataset.samples[0].truth.xywh.tolist() == [[16, 12, 32, 24]]


def test_keypoints_are_ignored(tmp_path: Path) -> None:
    line = "1 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 2\n"
    dataset = opened_with_line(tmp_path, line, "kpt_shape: [2, 3]\n")
    assert dataset.samples[0].truth.xywh.tolist() == [[16, 12, 32, 24]]


def test_an_image_without_label_file_counts_as_empty_and_is_told(tmp_path: Path) -> None:
    dataset = open_dataset(write_ultralytics(tmp_path))  # which writes none for the picture without boxes
    assert [len(sample.truth) for sample in dataset.samples] == [1, 2, 0]
    assert dataset.warnings == ("1 of 3 images have no label file, e.g. 'c.png'; they count as empty",)


def test_a_repeated_line_counts_once_and_an_empty_file_is_background(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path, PICTURES[:2])
    (tmp_path / "labels" / "val" / "b.txt").write_text("0 .5 .5 .1 .1\n\n0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "labels" / "val" / "a.txt").write_text("\n")
    assert [len(sample.truth) for sample in open_dataset(path).samples] == [0, 1]


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("3 0.5 0.5 0.1 0.1", r"has a class that is not among 0\.\.2"),
        ("-1 0.5 0.5 0.1 0.1", "has a class"),
        ("0.5 0.5 0.5 0.1 0.1", "has a class"),
        ("nan 0.5 0.5 0.1 0.1", "has a class"),
        ("cat 0.5 0.5 0.1 0.1", "is not made of numbers"),
        ("0 320 240 100 50", "numbers outside 0..1"),
        ("0 0.5 0.5 nan 0.1", "numbers outside 0..1"),
        ("0 0.5 0.5 -0.1 0.1", "numbers outside 0..1"),
        ("0 0.5 0.5 0.1", "neither 'class x y w h' nor"),
        ("0 0.5 0.5 0.1 0.1 0.9", "neither 'class x y w h' nor"),
        ("0", "neither 'class x y w h' nor"),
    ],
)
def test_bad_lines_are_shown(tmp_path: Path, line: str, fact: str) -> None:
    with pytest.raises(DataError, match=rf"^a line of '.*one\.txt' .*{fact}.*e\.g\. '{line}'; "):
        opened_with_line(tmp_path, f"1 0.5 0.5 0.1 0.1\n{line}\n")


def test_images_without_any_label_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 1 images .* has a label file"):
        open_dataset(write_ultralytics(tmp_path, [Picture(boxes=())]))


def test_class_lists_among_the_labels_are_no_labels(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path)
    (tmp_path / "labels" / "val" / "classes.txt").write_text("cat\n")
    assert open_dataset(path).box_count == 3


def test_an_unreadable_image_is_left_to_the_check_of_the_images(tmp_path: Path) -> None:
    path = write_ultralytics(tmp_path)
    (tmp_path / "images" / "val" / "a.png").write_bytes(b"")
    dataset = open_dataset(path)
    assert [sample.width for sample in dataset.samples] == [None, 64, 32]
    for image in (tmp_path / "images" / "val").iterdir():
        image.write_bytes(b"")
    with pytest.raises(ImageError, match=r"a\.png' is empty"):
        open_dataset(path)


fields = st.sampled_from(
    ["0", "1", "2", "0.5", "1.0", "-0", "nan", "inf", "1e400", "x", "0x1", "1_0", "\u0663"]
)
lines = st.lists(fields, max_size=9).map(" ".join) | st.text(max_size=30)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(text=st.lists(lines, max_size=4).map("\n".join))
def test_no_malformed_label_file_crashes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "lines"
    try:
        dataset = opened_with_line(folder, text)
    except DataError as error:
        message = str(error)
        assert message.isprintable()
    else:
        assert dataset.box_count > 0


yaml_values = st.recursive(
    st.sampled_from(
        ["images/val", "cat", "0", "-1", ".nan", "null", "yes", "2001-99-99", "&a [*a]", "!!set {}", "''"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(inner, inner), max_size=2).map(
            lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
        )
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    content=st.dictionaries(
        st.sampled_from(["path", "val", "test", "names", "nc", "kpt_shape"]), yaml_values
    ).map(lambda items: "\n".join(f"{key}: {value}" for key, value in items.items()))
    | st.text(max_size=40)
)
def test_no_malformed_yaml_crashes(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "yaml"
    path = folder / "data.yaml"
    if not path.exists():
        write_ultralytics(folder)
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        dataset = open_dataset(path)
    except DataError as error:
        message = str(error)
        assert message.isprintable()
    else:
        assert dataset.box_count == 3
