"""Which of the data set's classes each class of the model is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ClassMismatchError
from calibrant.tasks.detection.families import Recognition
from calibrant.tasks.detection.types import Category, Dataset, GroundTruth

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


def fitted(
    dataset: Dataset, found: Recognition, classes: Sequence[str] = ()
) -> tuple[Dataset, tuple[int, ...]]:
    """A test set as a model can be scored on it, and for each of the model's classes its category's index.

    classes: the names to score (default: all labels, or those that the profile's own ``classes`` name).
    Raises ClassMismatchError.
    """
    chosen = tuple(classes) or _named_by_profile(dataset, found.profile.classes)
    kept, names = only_classes(dataset, chosen, found.class_count, found.class_names)
    # Models with NMS inside do not show how many classes they have: the names' or the labels' count is taken.
    count = found.class_count or (len(names) if names else len(kept.categories))
    if names is None and _is_coco(kept.categories) and _counts_from_one(found):
        count = _COCO_LAST_ID
    class_map = match_categories(kept.categories, count, names)
    return replace(kept, warnings=(*kept.warnings, *remark_on_names(kept.categories, names))), class_map


def _counts_from_one(found: Recognition) -> bool:
    """Whether the model gives COCO's own ids, as TensorFlow's detectors do: 90 of them, with gaps."""
    return getattr(found.profile.output.decoder, "first_class", 0) == 1


def _named_by_profile(dataset: Dataset, classes: Sequence[str]) -> tuple[str, ...]:
    """Those of a profile's classes that are labelled, where other classes are labelled too."""
    plain, labelled = {_plain(name) for name in classes}, {_plain(c.name) for c in dataset.categories}
    return tuple(name for name in classes if _plain(name) in labelled) if classes and labelled - plain else ()


def only_classes(
    dataset: Dataset, classes: Sequence[str], class_count: int | None, class_names: Sequence[str] | None
) -> tuple[Dataset, tuple[str, ...] | None]:
    """A test set with the labels of some classes alone, and the model's class names.

    classes: the names to score; none: all. Where the model has no names, and as many classes, they are its
    own, in its order. Raises ClassMismatchError for a name that the labels or the model do not have.
    """
    names = None if class_names is None else tuple(class_names)
    if not classes:
        return dataset, names
    if names is None and class_count in (None, len(classes)):
        names = tuple(classes)
    _require_known(classes, names, f"the model's {class_count} classes")
    _require_known(classes, [category.name for category in dataset.categories], "the labels' classes")
    wanted = {_plain(name) for name in classes}
    kept = [index for index, category in enumerate(dataset.categories) if _plain(category.name) in wanted]
    return _restricted(dataset, kept), names


def _require_known(classes: Sequence[str], known: Sequence[str] | None, whose: str) -> None:
    plain = {_plain(name) for name in known or ()}
    strange = [name for name in classes if _plain(name) not in plain]
    if strange:
        shown = f", e.g. {', '.join(repr(name) for name in known[:3])}" if known else ", which have no names"
        raise ClassMismatchError(
            f"{strange[0]!r} is none of {whose}{shown}; "
            "give --classes (or a profile's classes) as they are there"
        )


def _restricted(dataset: Dataset, kept: Sequence[int]) -> Dataset:
    """The test set with the categories of these indices alone."""
    new = np.full(len(dataset.categories), NOT_LABELLED, np.int64)
    new[list(kept)] = np.arange(len(kept))
    samples = tuple(
        replace(sample, truth=_of_categories(sample.truth, new[sample.truth.classes]))
        for sample in dataset.samples
    )
    before, after = dataset.box_count, sum(len(sample.truth) for sample in samples)
    names = ", ".join(dataset.categories[index].name for index in kept[:3])
    shown = f"{names}, ..." if len(kept) > 3 else names
    remark = (
        f"{len(kept)} of {len(dataset.categories)} classes are scored ({shown}), {after} of {before} boxes"
    )
    if not after:
        raise ClassMismatchError(
            f"no box of '{dataset.source}' is of the classes to score ({names}); give others"
        )
    return replace(
        dataset,
        categories=tuple(dataset.categories[index] for index in kept),
        samples=samples,
        warnings=(*dataset.warnings, remark),
    )


def _of_categories(truth: GroundTruth, classes: NDArray[np.int64]) -> GroundTruth:
    rows = classes >= 0
    return GroundTruth(truth.xywh[rows], classes[rows], truth.areas[rows], truth.crowd[rows])


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
        "give labels with the model's classes, in its order, or name the model's classes with --classes"
    )
