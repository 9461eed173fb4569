"""What every decoder shares: the values it takes and gives, and picking candidates by confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.types import Feeds, FloatArray, IntArray

Shape: TypeAlias = tuple[int | None, ...]
Shapes: TypeAlias = Mapping[str, Shape]
BoxFormat: TypeAlias = Literal["cxcywh", "xyxy", "xywh", "yxyx"]
BoxUnits: TypeAlias = Literal["pixels", "fraction"]

MOST_CANDIDATES = 30_000
"""Candidates of an image beyond this many, by score, are not looked at (Ultralytics' max_nms)."""


@dataclass(frozen=True)
class Wanted:
    """Which candidates are asked for: those that score above ``confidence``, the best ``most`` of them.

    A decoder that reads several maps may give as many of each.
    """

    confidence: float
    most: int = MOST_CANDIDATES


@dataclass(frozen=True)
class Frame:
    """The size of the network's input image, pixels."""

    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes before non-maximum suppression, in no particular order.

    boxes: float32 (N, 4), corners in pixels of the network's input; scores: float32 (N,); classes:
    int64 (N,), as the model counts them.
    """

    boxes: FloatArray
    scores: FloatArray
    classes: IntArray

    def __len__(self) -> int:
        return len(self.scores)


class Decoder(Protocol):
    """Turns a model's raw outputs into candidates. Its fields are what a profile may set."""

    def class_count(self, shapes: Shapes, frame: Frame | None = None) -> int | None:
        """How many classes outputs of these shapes tell apart (None: they do not say).

        Raises ModelError when this decoder cannot read such outputs, for an input of the size ``frame``.
        """
        ...

    def decode(self, outputs: Feeds, frame: Frame, wanted: Wanted) -> Candidates:
        """The candidates that are wanted, from the outputs for one image.

        Raises ModelError when this decoder cannot read such outputs.
        """
        ...

    def doubt(self, outputs: Feeds, frame: Frame) -> str | None:
        """What in a float model's outputs for one image cannot be, if they are what this decoder reads.

        A fact in a few words; None: nothing speaks against it.
        """
        ...


def shapes_of(outputs: Feeds) -> Shapes:
    """The outputs' shapes, by name."""
    return {name: array.shape for name, array in outputs.items()}


def misfit(needs: str, shapes: Shapes) -> ModelError:
    """The error for outputs that a decoder cannot read; ``needs`` says what it can."""
    given = ", ".join(f"{name} {describe_shape(shape)}" for name, shape in shapes.items())
    return ModelError(
        f"the profile's decoder reads {needs}, but the outputs are {given}; choose another --family or "
        "describe the model in a YAML profile"
    )


def describe_shape(shape: Shape) -> str:
    """A shape as people write it: ``1x25200x85``, with ``?`` for what is dynamic."""
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"


def without_batch(array: NDArray[Any]) -> FloatArray:
    """An output's first image, float32."""
    return np.asarray(array[0], np.float32)


def pick(scores: FloatArray, wanted: Wanted, multi_label: bool) -> tuple[IntArray, IntArray, FloatArray]:
    """The (row, class) pairs of ``scores`` (N, C) that are wanted, with their scores, in order of rows.

    ``multi_label`` takes every class of a row, otherwise only its best (the first of equals).
    """
    flat = np.ascontiguousarray(scores).reshape(-1)
    if multi_label:
        above = flat > wanted.confidence
        if np.count_nonzero(above) > wanted.most:
            above &= flat >= _floor_of_best(flat, wanted.most)
        index = np.flatnonzero(above)
    else:
        index = scores.argmax(axis=1) + np.arange(len(scores)) * scores.shape[1]
        index = index[flat[index] > wanted.confidence]
    index = index[strongest(flat[index], wanted.most)]
    rows, classes = np.divmod(index, scores.shape[1])
    return rows, classes, flat[index]


def strongest(scores: FloatArray, most: int) -> IntArray:
    """Indices, in order, of the ``most`` highest of ``scores`` (N,); of equal ones the first."""
    if len(scores) <= most:
        return np.arange(len(scores))
    limit = np.partition(scores[scores >= _floor_of_best(scores, most)], -most)[-most]
    chosen = scores > limit
    chosen[np.flatnonzero(scores == limit)[: most - chosen.sum()]] = True
    return np.flatnonzero(chosen)


def _floor_of_best(scores: FloatArray, most: int) -> np.float32:
    """A score that ``most`` of ``scores`` (N,) reach, and few others: what is below need not be sorted."""
    from calibrant.tasks.detection.kernels import bits_below_best

    bits = bits_below_best(scores, most)
    return np.uint32(bits).view(np.float32) if bits else np.float32(-np.inf)


def pick_with_objectness(
    objectness: FloatArray, scores: FloatArray, wanted: Wanted, multi_label: bool
) -> tuple[IntArray, IntArray, FloatArray]:
    """As :func:`pick`, for scores of objectness (N,) times class (N, C)."""
    # A class score is at most 1, so whatever fails on objectness alone needs no product.
    likely = np.flatnonzero(objectness > wanted.confidence)
    rows, classes, picked = pick(scores[likely] * objectness[likely, None], wanted, multi_label)
    return likely[rows], classes, picked


def boxes_at(rows: IntArray, boxes_of: Callable[[IntArray], FloatArray]) -> FloatArray:
    """Boxes (N, 4) for rows in order, in which a row stands once for each of its classes.

    ``boxes_of`` is asked for each row once.
    """
    fresh = np.diff(rows, prepend=-1) != 0
    boxes: FloatArray = boxes_of(rows[fresh]).take(np.cumsum(fresh) - 1, axis=0)
    return boxes


def corners(boxes: FloatArray, box: BoxFormat, units: BoxUnits, frame: Frame) -> FloatArray:
    """Boxes (N, 4) in a format and unit as corners x1, y1, x2, y2 in input pixels."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if box == "cxcywh":
        half = second / 2
        boxes = np.concatenate([first - half, first + half], axis=1)
    elif box == "xywh":
        boxes = np.concatenate([first, first + second], axis=1)
    elif box == "yxyx":
        boxes = boxes[:, [1, 0, 3, 2]]
    if units == "fraction":
        boxes = boxes * np.array([frame.width, frame.height] * 2, np.float32)
    return boxes.astype(np.float32, copy=False)


def sigmoid(values: FloatArray) -> FloatArray:
    """The logistic function, without overflow."""
    result: FloatArray = np.float32(0.5) * (np.tanh(np.float32(0.5) * values) + np.float32(1))
    return result


def softmax(values: FloatArray, axis: int = -1) -> FloatArray:
    """Exponentials that sum to 1 along ``axis``, without overflow."""
    powers = np.exp(values - values.max(axis=axis, keepdims=True))
    result: FloatArray = powers / powers.sum(axis=axis, keepdims=True)
    return result
