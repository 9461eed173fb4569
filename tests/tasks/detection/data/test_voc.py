from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.detection.datasets.voc import VOC_CLASSES
from calibrant.tasks.detection.types import Dataset
from label_files import PICTURES, Picture, dropped, voc_text, write_image, write_voc


def opened(folder: Path, xml: str) -> Dataset:
    """A set of one 64x48 image with this label file."""
    write_image(folder / "one.png", 64, 48)
    (folder / "one.xml").write_text(xml)
    return open_dataset(folder)


def thing(name: str = "cat", box: str = "1 1 64 48", more: str = "") -> str:
    values = zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=True)
    bounds = "".join(f"<{key}>{value}</{key}>" for key, value in values)
    return f"<object><name>{name}</name>{more}<bndbox>{bounds}</bndbox></object>"


def annotation(*things: str) -> str:
    return f"<annotation>{''.join(things)}</annotation>"


# --- what is read ----------------------------------------------------------------------------------


def test_pixels_count_from_one_and_both_ends_belong_to_the_box(tmp_path: Path) -> None:
    truth = opened(tmp_path, annotation(thing(box="1 1 64 48"), thing(box="3 5 3 5"))).samples[0].truth
    assert truth.boxes.tolist() == [[0, 0, 64, 48], [2, 4, 3, 5]]


def test_difficult_objects_are_crowds(tmp_path: Path) -> None:
    easy, hard = thing(more="<difficult>0</difficult>"), thing(more="<difficult>1</difficult>")
    dataset = opened(tmp_path, annotation(easy, hard, thing()))
    assert dataset.samples[0].truth.crowd.tolist() == [False, True, False]
    assert dataset.warnings == ("1 of 3 objects are marked difficult; finding them or not changes no score",)


def test_the_parts_of_a_person_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    assert opened(tmp_path, annotation(thing("person", more=part))).box_count == 1


def test_vocs_own_classes_keep_their_order(tmp_path: Path) -> None:
    dataset = opened(tmp_path, annotation(thing("tvmonitor"), thing("cat")))
    assert tuple(category.name for category in dataset.categories) == VOC_CLASSES
    assert dataset.samples[0].truth.classes.tolist() == [19, 7]


def test_other_classes_are_sorted_by_name(tmp_path: Path) -> None:
    dataset = opened(tmp_path, annotation(thing("screw"), thing("bolt")))
    assert [category.name for category in dataset.categories] == ["bolt", "screw"]
    (remark,) = dataset.warnings
    assert "2 classes" in remark
    assert "alphabetical order, e.g. 'bolt' first" in remark
    (tmp_path / "classes.txt").write_text("screw\nbolt\n")
    assert open_dataset(tmp_path).warnings == ()


def test_a_split_is_preferred_and_keeps_its_order(tmp_path: Path) -> None:
    write_voc(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "test.txt").write_text("a\n")
    assert [sample.id for sample in open_dataset(tmp_path).samples] == ["a"]
    (lists / "val.txt").write_text("c 1\nb -1\n")
    dataset = open_dataset(tmp_path)
    assert [sample.id for sample in dataset.samples] == ["c", "b"]
    assert dataset.name == f"{tmp_path.name} (val)"
    assert open_dataset(tmp_path / "Annotations").box_count == 2


def test_a_wrong_file_name_gives_way_to_the_labels_own_name(tmp_path: Path) -> None:
    xml = voc_text(Picture("one.png")).replace("one.png", "C:\\photos\\IMG_1.JPG")
    assert opened(tmp_path, xml).samples[0].path == tmp_path / "one.png"


def test_a_right_file_name_decides(tmp_path: Path) -> None:
    write_image(tmp_path / "one.jpg")
    assert opened(tmp_path, voc_text(Picture("one.png"))).samples[0].path == tmp_path / "one.png"


def test_empty_boxes_are_dropped_with_a_warning(tmp_path: Path) -> None:
    dataset = opened(tmp_path, annotation(thing(box="10 10 5 20"), thing(box="nan 1 5 5"), thing()))
    assert dataset.box_count == 1
    assert dataset.warnings == (dropped("2 of 3", "one"),)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        *((text, True) for text in ("1", "true", "Yes", " 1 ", "1.0")),
        *((text, False) for text in ("0", "", "False", "no", "Unspecified", "None", "0.0")),
    ],
)
def test_a_difficult_flag_may_be_a_word(tmp_path: Path, text: str, counts: bool) -> None:
    flag = f"<difficult>{text}</difficult>"
    dataset = opened(tmp_path, annotation(thing() + "", thing().replace("<name>", f"{flag}<name>", 1)))
    assert dataset.samples[0].truth.crowd.tolist() == [False, counts]
    assert len(dataset.warnings) == counts


@pytest.mark.parametrize("text", ["maybe", "2", "-1", "nan", "hard"])
def test_a_difficult_flag_that_is_neither_yes_nor_no_is_told(tmp_path: Path, text: str) -> None:
    flag = f"<difficult>{text}</difficult>"
    dataset = opened(tmp_path, annotation(thing().replace("<name>", f"{flag}<name>", 1)))
    assert not dataset.samples[0].truth.crowd.any()
    (remark,) = dataset.warnings
    assert f"1 of 1 <difficult> flags are neither yes nor no, e.g. '{text}' in 'one.xml'" in remark


@pytest.mark.parametrize(("labels", "images"), [("annotations", "images"), ("Annotations", "Images")])
def test_folders_may_have_other_names_than_vocs(tmp_path: Path, labels: str, images: str) -> None:
    write_voc(tmp_path / "voc")
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "voc" / "Annotations").rename(folder / labels)
    (tmp_path / "voc" / "JPEGImages").rename(folder / images)
    assert open_dataset(folder).box_count == 3
    assert open_dataset(folder / labels).box_count == 3


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("xml", "match"),
    [
        ("", "not valid XML"),
        ("<annotation>", "not valid XML"),
        ("<kml/>", "holds 'kml'"),
        (annotation("<object/>"), "object without a name"),
        (annotation("<object><name>cat</name></object>"), "has None as bndbox/xmin"),
        (annotation(thing(box="a 1 2 3")), "has 'a' as bndbox/xmin"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", "not valid XML"),
    ],
)
def test_bad_xml_is_refused(tmp_path: Path, xml: str, match: str) -> None:
    with pytest.raises(DataError, match=rf"^'.*one\.xml' .*{match}.*; "):
        opened(tmp_path, xml)


def test_entities_do_not_grow_without_end(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 10))
    xml = f'<!DOCTYPE annotation [<!ENTITY e0 "cat">{levels}]>' + annotation(thing("&e9;"))
    with pytest.raises(DataError, match="not valid XML"):
        opened(tmp_path, xml)


def test_names_missing_from_the_class_list(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\n")
    with pytest.raises(DataError, match=r"1 of 2 class names .* e\.g\. 'dog'"):
        opened(tmp_path, annotation(thing("cat"), thing("dog")))


def test_a_split_that_leads_out_or_lists_missing_labels(tmp_path: Path) -> None:
    write_voc(tmp_path, PICTURES)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("../../secret\n")
    with pytest.raises(DataError, match="leads out of its folder"):
        open_dataset(tmp_path)
    (lists / "val.txt").write_text("a\nabsent\n")
    with pytest.raises(DataError, match=r"1 of 2 annotations .* e\.g\. 'absent\.xml'"):
        open_dataset(tmp_path)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(position=st.integers(0, 400), patch=st.binary(max_size=6), cut=st.integers(0, 6))
def test_no_malformed_xml_crashes(
    tmp_path_factory: pytest.TempPathFactory, position: int, patch: bytes, cut: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "xml"
    path = folder / "one.xml"
    write_image(folder / "one.png", 64, 48)
    xml = bytearray(voc_text(Picture("one.png")).encode())
    xml[position : position + cut] = patch
    path.write_bytes(xml)
    try:
        dataset = open_dataset(folder)
    except DataError as error:
        message = str(error)
        assert message.isprintable()
    else:
        assert dataset.box_count == 1
