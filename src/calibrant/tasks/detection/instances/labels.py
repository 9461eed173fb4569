"""Labelled instances: the boxes as the detector's readers give them, and what a kind reads beside each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.core.errors import DataError
from calibrant.tasks.detection.datasets import coco, open_dataset, ultralytics
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.types import InstanceSample
from calibrant.tasks.detection.types import Dataset, DetectionSample, GroundTruth
from calibrant.tasks.media.files import text_of


def open_instances(
    path: Path, kind: Kind, limit: int | None, images: Path | None
) -> tuple[Dataset, tuple[InstanceSample, ...]]:
    """A labelled test set with the shapes that ``kind`` reads of it.

    Forms: COCO JSON, Ultralytics' data.yaml. Raises DataError.
    """
    dataset = open_dataset(path, limit, images)
    if dataset.source.suffix.lower() == ".json":
        samples = _of_coco(dataset, kind)
    elif dataset.source.suffix.lower() in (".yaml", ".yml"):
        samples = tuple(_of_lines(sample, kind) for sample in dataset.samples)
    else:
        raise DataError(
            f"'{path}' holds boxes only; {kind.words.labels} come as COCO JSON or with a data.yaml"
        )
    if all(sample.ignored.all() for sample in samples):
        raise DataError(
            f"'{path}' labels no {kind.words.label} to be found; give labels with {kind.words.labels}"
        )
    return dataset, samples


def _of_coco(dataset: Dataset, kind: Kind) -> tuple[InstanceSample, ...]:
    records = coco.annotations_by_image(dataset.source)
    return tuple(
        _sample(
            sample, [_told(kind, record, sample) for record in _matching(sample, records.get(sample.id, ()))]
        )
        for sample in dataset.samples
    )


def _matching(sample: DetectionSample, records: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The annotation of each labelled box: the reader keeps their order and drops what is no box."""
    left = iter(records)
    for box in sample.truth.xywh.tolist():
        for record in left:
            if _is(record.get("bbox"), box):
                yield record
                break


def _is(told: Any, box: Sequence[float]) -> bool:
    return isinstance(told, list | tuple) and len(told) == 4 and all(map(math.isclose, told, box))


def _told(kind: Kind, record: Mapping[str, Any], sample: DetectionSample) -> tuple[Any, bool] | None:
    width, height = sample.width or 0, sample.height or 0
    if not width or not height:
        raise DataError(
            f"'{sample.id}' has no width and height in the labels; a {kind.words.label} needs them"
        )
    try:
        return kind.of_record(record, width, height)
    except (ValueError, TypeError, OverflowError):
        return None


def _sample(sample: DetectionSample, told: Sequence[tuple[Any, bool] | None]) -> InstanceSample:
    """The labels that have a shape; told: one for each labelled box, None where there is none."""
    rows = [row for row, pair in enumerate(told) if pair is not None]
    known = [pair for pair in told if pair is not None]
    truth = sample.truth
    return InstanceSample(
        sample.id,
        sample.path,
        GroundTruth(truth.xywh[rows], truth.classes[rows], truth.areas[rows], truth.crowd[rows]),
        [shape for shape, _ in known],
        np.array([is_ignored for _, is_ignored in known], np.bool_) | truth.crowd[rows],
        sample.width,
        sample.height,
    )


def _of_lines(sample: DetectionSample, kind: Kind) -> InstanceSample:
    label = ultralytics.label_file(sample.path)
    lines = [] if label is None else [line.split() for line in text_of(label).splitlines() if line.strip()]
    told: list[tuple[Any, bool] | None] = []
    for values in _matching_lines(sample, [[float(field) for field in line[1:]] for line in lines], kind):
        try:
            told.append(kind.of_numbers(values, sample.width or 0, sample.height or 0))
        except ValueError as error:
            raise DataError(
                f"a line of '{label}' has no {kind.words.label} ({error}), e.g. "
                f"{' '.join(map(str, values))!r:.60}; give labels with {kind.words.labels}"
            ) from error
    if len(told) != len(sample.truth):
        raise DataError(
            f"lines of '{label}' are not those of {kind.words.labels}; a data.yaml of keypoints has kpt_shape"
        )
    truth = replace(sample.truth, areas=kind.area_of_box * sample.truth.areas)
    return _sample(replace(sample, truth=truth), told)


def _matching_lines(
    sample: DetectionSample, rows: Sequence[list[float]], kind: Kind
) -> Iterator[list[float]]:
    """The line of each labelled box; the reader counts a repeated one once and drops what is no box."""
    left = iter(rows)
    size = (sample.width or 0, sample.height or 0)
    near = 1e-6 * max(1.0, *size)
    for box in sample.truth.xywh.tolist():
        for values in left:
            if all(abs(one - other) < near for one, other in zip(_box(values, size, kind), box, strict=True)):
                yield values
                break


def _box(values: Sequence[float], size: tuple[int, int], kind: Kind) -> tuple[float, float, float, float]:
    width, height = size
    if len(values) >= 6 and not kind.begins_with_box:
        xs, ys = values[::2], values[1::2]
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        return left * width, top * height, (right - left) * width, (bottom - top) * height
    x, y, w, h = values[:4]
    return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height
