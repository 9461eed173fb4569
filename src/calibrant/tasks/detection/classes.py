"""Which of the data set's classes each class of the model is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from calibrant.core.errors import ClassMismatchError
from calibrant.tasks.detection.types import Category

NOT_LABELLED = -1
"""Stands for a class of the model that the data set does not label; its detections are not scored."""

_COCO_COUNT, _COCO_LAST_ID = 80, 90
_ID_OF_FIRST_CLASS = {91: 0, 90: 1}
"""Models that keep the 10 ids COCO never used: by class count, the category id of class 0."""


def match_categories(
    dataset_categories: Sequence[Category], model_class_count: int, model_class_names: Sequence[str] | None
) -> tuple[int, ...]:
    """Give each class of the model its index in ``dataset_categories``, or :data:`NOT_LABELLED`.

    By name, when the model has names and every category is among them; spelling may differ in case,
    spaces, hyphens and underscores. Else by order, when the counts agree and no name contradicts it (COCO's
    80 ids 1..90 are in order of id). DETR-like models with 90 or 91 classes are matched by COCO's id.
    Raises ClassMismatchError otherwise.
    """
    names = _distinct([_plain(name) for name in model_class_names or ()], model_class_count)
    wanted = _distinct([_plain(category.name) for category in dataset_categories], len(dataset_categories))
    if names and wanted and set(wanted) <= set(names):
        return tuple(wanted.get(name, NOT_LABELLED) for name in names)
    if model_class_count == len(dataset_categories):
        _refuse_other_order(names, wanted, dataset_categories)
        return tuple(range(model_class_count))
    if _is_coco(dataset_categories) and model_class_count in _ID_OF_FIRST_CLASS:
        by_id = {category.id: index for index, category in enumerate(dataset_categories)}
        start = _ID_OF_FIRST_CLASS[model_class_count]
        return tuple(by_id.get(start + index, NOT_LABELLED) for index in range(model_class_count))
    raise _counts_differ(dataset_categories, model_class_count, names)


def remark_on_names(
    dataset_categories: Sequence[Category], model_class_names: Sequence[str] | None
) -> tuple[str, ...]:
    """A warning where :func:`match_categories` went by order although both sides have other names."""
    if model_class_names is None or len(model_class_names) != len(dataset_categories):
        return ()
    labels = [category.name for category in dataset_categories]
    known = {_plain(name) for name in model_class_names}
    strange = [
        (label, name)
        for label, name in zip(labels, model_class_names, strict=True)
        if _plain(label) not in known
    ]
    if not strange:
        return ()
    label, name = strange[0]
    return (
        f"classes are matched by order, as {len(strange)} of {len(labels)} names differ, e.g. {label!r} is "
        f"{name!r} in the model; check the order of the labels' classes",
    )


def _distinct(names: Sequence[str], count: int) -> dict[str, int]:
    """Index by name; empty when names are missing or not unique, as they then identify nothing."""
    index = {name: position for position, name in enumerate(names)}
    return index if len(index) == len(names) == count else {}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _refuse_other_order(
    names: Mapping[str, int], wanted: Mapping[str, int], categories: Sequence[Category]
) -> None:
    moved = [name for name, position in wanted.items() if names.get(name, position) != position]
    if moved:
        here, there = wanted[moved[0]], names[moved[0]]
        raise ClassMismatchError(
            f"{len(moved)} of {len(categories)} classes stand elsewhere in the model's names, e.g. "
            f"{categories[here].name!r} is {here} in the labels and {there} in the model; "
            "give all classes the model's names"
        )


def _is_coco(categories: Sequence[Category]) -> bool:
    return len(categories) == _COCO_COUNT and categories[-1].id == _COCO_LAST_ID


def _counts_differ(
    categories: Sequence[Category], count: int, names: Mapping[str, int]
) -> ClassMismatchError:
    strange = next((category.name for category in categories if _plain(category.name) not in names), "")
    example = strange or categories[0].name
    where = (
        "is none of the model's class names" if names else "cannot be told apart, as the model has no names"
    )
    return ClassMismatchError(
        f"the model has {count} classes and the labels {len(categories)}, and e.g. {example!r} {where}; "
        "give labels with the model's classes, in its order"
    )
