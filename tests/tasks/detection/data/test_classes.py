from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import ClassMismatchError
from calibrant.tasks.detection.classes import NOT_LABELLED, fitted, match_categories, remark_on_names
from calibrant.tasks.detection.families import Recognition
from calibrant.tasks.detection.profile import family_named
from calibrant.tasks.detection.types import Category, Dataset, DetectionSample, GroundTruth

COCO_UNUSED_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})


def categories(*names: str) -> tuple[Category, ...]:
    return tuple(Category(index, name) for index, name in enumerate(names))


COCO = tuple(Category(id_, f"thing {id_}") for id_ in range(1, 91) if id_ not in COCO_UNUSED_IDS)


@given(st.permutations(["cat", "dog", "bird", "traffic light"]))
def test_names_decide_whatever_their_order(names: list[str]) -> None:
    labels = categories("cat", "dog", "bird", "traffic light")
    matched = match_categories(labels, 4, names)
    assert [labels[index].name for index in matched] == names


def test_spelling_of_names_is_forgiven() -> None:
    assert match_categories(categories("Traffic Light", "hot-dog"), 2, ["hot dog", "traffic_light"]) == (1, 0)


def test_labels_may_name_some_of_the_models_classes() -> None:
    matched = match_categories(categories("dog", "cat"), 3, ["cat", "bird", "dog"])
    assert matched == (1, NOT_LABELLED, 0)


def test_without_names_the_order_decides() -> None:
    assert match_categories(categories("a", "b"), 2, None) == (0, 1)


def test_other_names_in_equal_number_go_by_order() -> None:
    assert match_categories(categories("motorcycle", "cat"), 2, ["motorbike", "cat"]) == (0, 1)


def test_going_by_order_against_other_names_is_told() -> None:
    (remark,) = remark_on_names(categories("motorcycle", "cat"), ["motorbike", "cat"])
    assert "by order, as 1 of 2 names differ, e.g. 'motorcycle' is 'motorbike' in the model" in remark


@pytest.mark.parametrize("names", [None, ["Cat", "dog"], ["dog", "cat"], ["dog", "cat", "bird"]])
def test_matching_names_need_no_remark(names: list[str] | None) -> None:
    assert remark_on_names(categories("cat", "dog"), names) == ()


def test_a_contradicting_order_is_refused() -> None:
    with pytest.raises(ClassMismatchError, match="'cat' is 0 in the labels and 1 in the model"):
        match_categories(categories("cat", "motorcycle"), 2, ["motorbike", "cat"])


def test_repeated_or_too_few_names_identify_nothing() -> None:
    assert match_categories(categories("a", "b"), 2, ["x", "x"]) == (0, 1)
    assert match_categories(categories("a", "b"), 2, ["b"]) == (0, 1)


def test_coco_in_order_of_id() -> None:
    assert match_categories(COCO, 80, None) == tuple(range(80))


@pytest.mark.parametrize(("count", "first_id"), [(91, 0), (90, 1)])
def test_models_that_keep_cocos_unused_ids(count: int, first_id: int) -> None:
    matched = match_categories(COCO, count, None)
    assert len(matched) == count
    for position, index in enumerate(matched):
        if index == NOT_LABELLED:
            assert first_id + position in {0, *COCO_UNUSED_IDS}
        else:
            assert COCO[index].id == first_id + position


def test_different_counts_are_refused_with_both_and_an_example() -> None:
    with pytest.raises(ClassMismatchError, match=r"80 classes and the labels 3.*'cat'.*; "):
        match_categories(categories("cat", "dog", "bird"), 80, None)
    with pytest.raises(ClassMismatchError, match=r"3 classes and the labels 2.*'zebra' is none of"):
        match_categories(categories("cat", "zebra"), 3, ["cat", "dog", "bird"])


# --- a subset of the labels' classes ---------------------------------------------------------------


def labels(*names: str) -> Dataset:
    """One image with a box of each class."""
    boxes = np.tile([0.0, 0.0, 5.0, 5.0], (len(names), 1))
    truth = GroundTruth(boxes, np.arange(len(names)), np.full(len(names), 25.0), np.zeros(len(names), bool))
    categories = tuple(Category(10 * index, name) for index, name in enumerate(names))
    return Dataset("set", Path("labels.json"), categories, (DetectionSample("a", Path("a.png"), truth),))


def detector(count: int | None, names: tuple[str, ...] | None, classes: tuple[str, ...] = ()) -> Recognition:
    return Recognition(replace(family_named("yolov8"), classes=classes), count, names, "")


@pytest.mark.parametrize(
    ("found", "classes", "class_map"),
    [
        (detector(1, None), ("person",), (0,)),
        (detector(None, None), ("person",), (0,)),
        (detector(2, ("dog", "person")), ("person",), (-1, 0)),
        (detector(1, ("person",), classes=("person",)), (), (0,)),
        (detector(2, ("person", "face"), classes=("person", "face")), (), (0, -1)),
    ],
)
def test_a_model_of_some_classes_is_scored_on_their_labels(
    found: Recognition, classes: tuple[str, ...], class_map: tuple[int, ...]
) -> None:
    dataset, mapped = fitted(labels("cat", "person", "dog"), found, classes)
    assert mapped == class_map
    assert [category.name for category in dataset.categories] == ["person"]
    assert dataset.samples[0].truth.classes.tolist() == [0]
    assert dataset.warnings == ("1 of 3 classes are scored (person), 1 of 3 boxes",)


def test_classes_keep_the_order_of_the_labels_and_map_by_the_models() -> None:
    dataset, mapped = fitted(labels("cat", "Person", "dog"), detector(2, None), ("dog", "person"))
    assert [category.name for category in dataset.categories] == ["Person", "dog"]
    assert mapped == (1, 0)


def test_without_a_choice_all_labels_count() -> None:
    dataset, mapped = fitted(labels("cat", "dog"), detector(2, None))
    assert (len(dataset.categories), mapped, dataset.warnings) == (2, (0, 1), ())


@pytest.mark.parametrize(
    ("found", "classes", "words"),
    [
        (detector(1, None), ("bird",), r"'bird' is none of the labels' classes, e\.g\. 'cat', 'person'"),
        (
            detector(2, ("cat", "dog")),
            ("person",),
            r"'person' is none of the model's 2 classes, e\.g\. 'cat'",
        ),
        (detector(80, None), ("person",), r"'person' is none of the model's 80 classes, which have no names"),
        (detector(1, None), (), r"the model has 1 classes and the labels 3.*--classes"),
    ],
)
def test_classes_that_do_not_fit_are_named(found: Recognition, classes: tuple[str, ...], words: str) -> None:
    with pytest.raises(ClassMismatchError, match=words):
        fitted(labels("cat", "person", "dog"), found, classes)


def test_tensorflows_detectors_give_cocos_own_ids() -> None:
    dataset = Dataset("coco", Path("labels.json"), COCO, ())
    found = Recognition(family_named("tf-detection"), None, None, "")
    _, class_map = fitted(dataset, found)
    assert len(class_map) == 90
    assert class_map[0] == 0
    assert class_map[11] == NOT_LABELLED  # id 12
    assert class_map[89] == 79
