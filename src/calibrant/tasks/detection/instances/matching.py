"""COCO's matching of findings and labels under any similarity, and the mean precision that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.detection.evidence import IOU_THRESHOLDS, RECALL_THRESHOLDS, MatchTable
from calibrant.tasks.detection.instances.types import Instances, InstanceSample

Similarity = Callable[[Instances, InstanceSample, NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Group:
    """The best findings of one class in one image, and what became of each."""

    image: int
    scores: NDArray[np.float32]
    matched: NDArray[np.uint16]
    ignored: NDArray[np.uint16]


def match_table(
    samples: Sequence[InstanceSample],
    found: Sequence[Instances],
    class_count: int,
    similarity: Similarity,
    most: int,
) -> MatchTable:
    """Match each image's findings with its labels.

    most: findings of a class in an image that are looked at. Source: pycocotools' COCOeval.evaluateImg.
    """
    groups: list[list[_Group]] = [[] for _ in range(class_count)]
    wanted: list[tuple[int, int]] = []
    for image, (sample, instances) in enumerate(zip(samples, found, strict=True)):
        wanted += [(image, int(label)) for label in sample.truth.classes[~sample.ignored]]
        for label in np.unique(instances.classes):
            groups[label].append(_group(image, int(label), sample, instances, similarity, most))
    return _table(len(samples), groups, wanted)


def mean_precision(table: MatchTable, steps: int = len(IOU_THRESHOLDS)) -> float:
    """Mean average precision over the first ``steps`` thresholds, 0..1; nan where nothing is labelled."""
    from calibrant.tasks.detection.kernels import weighted_mean_precision

    return float(
        weighted_mean_precision(
            np.ones((1, table.images), np.int64), table.starts, table.image, table.matched, table.ignored,
            table.truth_image, table.truth_class, steps, RECALL_THRESHOLDS,
        )[0]
    )  # fmt: skip


def _group(
    image: int, label: int, sample: InstanceSample, instances: Instances, similarity: Similarity, most: int
) -> _Group:
    mine = instances.at(instances.classes == label)
    mine = mine.at(np.argsort(-mine.scores, kind="stable")[:most])
    rows = np.flatnonzero(sample.truth.classes == label)
    rows = rows[np.argsort(sample.ignored[rows], kind="stable")]
    alike = similarity(mine, sample, rows) if len(rows) else np.zeros((len(mine), 0))
    matched, ignored = _matches(alike, sample.ignored[rows], sample.truth.crowd[rows])
    return _Group(image, mine.scores, matched, ignored)


def _matches(
    alike: NDArray[np.float64], is_ignored: NDArray[np.bool_], is_crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Bits of thresholds at which each row is right, and at which it counts neither way."""
    matched, ignored = np.zeros(len(alike), np.uint16), np.zeros(len(alike), np.uint16)
    for step, threshold in enumerate(IOU_THRESHOLDS):
        taken = np.zeros(alike.shape[1], np.bool_)
        for row in range(len(alike)):
            chosen = _best(alike[row], min(float(threshold), 1 - 1e-10), taken & ~is_crowd, is_ignored)
            if chosen is None:
                continue
            taken[chosen] = True
            bits = ignored if is_ignored[chosen] else matched
            bits[row] |= np.uint16(1 << step)
    return matched, ignored


def _best(
    alike: NDArray[np.float64], threshold: float, taken: NDArray[np.bool_], is_ignored: NDArray[np.bool_]
) -> int | None:
    """The most alike label that is free, a later one of equals; an ignored one only where none other is."""
    for candidates in (~is_ignored, is_ignored):
        usable = np.flatnonzero(candidates & ~taken & (alike >= threshold))
        if len(usable):
            return int(usable[::-1][np.argmax(alike[usable[::-1]])])
    return None


def _table(images: int, groups: Sequence[Sequence[_Group]], wanted: Sequence[tuple[int, int]]) -> MatchTable:
    starts, parts = [0], []
    for of_class in groups:
        scores = np.concatenate([np.empty(0, np.float32), *(group.scores for group in of_class)])
        order = np.argsort(-scores, kind="stable")
        image = np.repeat([group.image for group in of_class], [len(group.scores) for group in of_class])
        matched = np.concatenate([np.empty(0, np.uint16), *(group.matched for group in of_class)])
        ignored = np.concatenate([np.empty(0, np.uint16), *(group.ignored for group in of_class)])
        parts.append((scores[order], image[order].astype(np.int32), matched[order], ignored[order]))
        starts.append(starts[-1] + len(scores))
    truth = np.array(wanted, np.int32).reshape(-1, 2)
    scores, image, matched, ignored = (
        np.concatenate([np.empty(0, kind), *column]).astype(kind)
        for kind, column in zip(
            (np.float32, np.int32, np.uint16, np.uint16), zip(*parts, strict=True), strict=True
        )
    )
    return MatchTable(
        images, np.array(starts, np.int64), scores, image, matched, ignored,
        np.ascontiguousarray(truth[:, 0]), np.ascontiguousarray(truth[:, 1]),
    )  # fmt: skip
