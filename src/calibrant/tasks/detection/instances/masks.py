"""Instance segmentation: a mask for each object, from prototypes and coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import Words
from calibrant.core.types import Feeds, ModelSignature
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.decode.candidates import without_batch
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.rle import filled, from_counts
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.preprocess import Placement


@dataclass(frozen=True, eq=False)
class Mask:
    """What an object covers of an image: a window at (left, top), its pixels eight to a byte along rows."""

    left: int
    top: int
    width: int
    bits: NDArray[np.uint8]  # (height, ceil(width / 8))
    area: int

    @classmethod
    def of(cls, pixels: NDArray[np.bool_], left: int = 0, top: int = 0) -> Mask:
        """A mask from the pixels of a window; cut to what it covers."""
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if not len(rows):
            return cls(left, top, 0, np.zeros((0, 0), np.uint8), 0)
        cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        bits = np.packbits(cut, axis=1)
        return cls(left + int(columns[0]), top + int(rows[0]), cut.shape[1], bits, int(cut.sum()))

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The window's pixels, bool (height, width)."""
        return np.unpackbits(self.bits, axis=1, count=self.width).astype(np.bool_)

    def shared(self, other: Mask) -> int:
        """How many pixels both cover."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + len(self.bits), other.top + len(other.bits))
        if right <= left or bottom <= top:
            return 0
        return int(
            np.count_nonzero(self._window(left, top, right, bottom) & other._window(left, top, right, bottom))
        )

    def _window(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
        rows = self.bits[top - self.top : bottom - self.top]
        pixels = np.unpackbits(rows, axis=1, count=self.width)
        return pixels[:, left - self.left : right - self.left].astype(np.bool_)


class Masks(Kind):
    """Masks at the image's own size, as Ultralytics' process_mask_native makes them there.

    Prototypes are cut to where the image lies, enlarged linearly, cut to the box, and count where they are
    above 0. Its validator compares smaller ones: docs/tasks/instances.md.
    """

    task: ClassVar[str] = "segmentation"
    told: ClassVar[str] = "segment"
    title: ClassVar[str] = "instance segmentation: a mask for each object"
    words: ClassVar[Words] = Words("image", "images", "mask", "masks")
    metric: ClassVar[Metric] = Metric("mask_map50_95", "mask mAP", "mask mAP50-95", floor=0.01)
    figure: ClassVar[str] = "mask"

    def numbers_beside(self, signature: ModelSignature) -> int | None:
        """As many coefficients as there are prototypes."""
        shapes = [info.shape for info in signature.outputs]
        maps = [shape for shape in shapes if len(shape) == 4]
        tables = [shape for shape in shapes if len(shape) == 3]
        if len(maps) != 1 or not tables or maps[0][1] is None or maps[0][1] < 2:
            return None
        return maps[0][1]

    def shapes(
        self,
        extras: NDArray[np.float32],
        boxes: NDArray[np.float32],
        outputs: Feeds,
        frame: Frame,
        where: Placement,
    ) -> Sequence[Any]:
        """A mask for each box."""
        del frame
        found = [array for array in outputs.values() if array.ndim == 4]
        if len(found) != 1 or found[0].shape[1] != extras.shape[1]:
            raise ModelError(
                "the outputs hold no prototypes of masks beside the table; choose another --family"
            )
        prototypes = _of_image(without_batch(found[0]), where)
        return [_mask(row, box, prototypes, where) for row, box in zip(extras, boxes, strict=True)]

    def similarity(
        self, found: Instances, sample: InstanceSample, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Intersection over union; over the found mask alone for crowds."""
        truths = [sample.shapes[row] for row in rows]
        return _overlaps(found.shapes, truths, sample.truth.crowd[rows])

    def between(self, ours: Instances, theirs: Instances) -> NDArray[np.float64]:
        """Intersection over union."""
        return _overlaps(ours.shapes, theirs.shapes, np.zeros(len(theirs), np.bool_))

    def of_record(self, record: Mapping[str, Any], width: int, height: int) -> tuple[Any, bool]:
        """COCO's polygons, or counts of runs."""
        told = record.get("segmentation")
        if isinstance(told, Mapping):
            mask = Mask.of(from_counts(told, width, height))
        elif isinstance(told, list) and told:
            mask = Mask.of(filled(told, width, height))
        else:
            raise ValueError("no segmentation")
        return mask, bool(record.get("iscrowd", 0))

    def of_numbers(self, values: Sequence[float], width: int, height: int) -> tuple[Any, bool]:
        """A polygon; of a box, its corners."""
        if len(values) == 4:
            x, y, w, h = values
            values = [x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]
        polygon = (np.asarray(values, np.float64).reshape(-1, 2) * (width, height)).ravel().tolist()
        return Mask.of(filled([polygon], width, height)), False

    def packed(self, shapes: Sequence[Any]) -> Mapping[str, NDArray[Any]]:
        """Windows and bits one after the other."""
        windows = [(mask.left, mask.top, mask.width, len(mask.bits), mask.area) for mask in shapes]
        return {
            "windows": np.array(windows, np.int64).reshape(-1, 5),
            "bits": np.concatenate([np.empty(0, np.uint8), *(mask.bits.ravel() for mask in shapes)]),
        }

    def unpacked(self, arrays: Mapping[str, NDArray[Any]], count: int) -> Sequence[Any]:
        """The masks again."""
        windows, bits = arrays["windows"], arrays["bits"]
        if windows.shape != (count, 5) or windows.dtype != np.int64 or bits.dtype != np.uint8:
            raise ValueError("windows of other masks")
        if (windows[:, 2:] < 0).any():
            raise ValueError("windows without size")
        sizes = windows[:, 3] * -(-windows[:, 2] // 8)
        if sizes.sum() != bits.size:
            raise ValueError("bits of other masks")
        ends = np.cumsum(sizes).tolist()
        return [
            Mask(
                left,
                top,
                width,
                bits[end - height * -(-width // 8) : end].reshape(height, -(-width // 8)),
                area,
            )
            for (left, top, width, height, area), end in zip(windows.tolist(), ends, strict=True)
        ]


def _of_image(prototypes: NDArray[np.float32], where: Placement) -> NDArray[np.float32]:
    """Prototypes (K, H, W) cut to where the image lies. Source: Ultralytics' ops.scale_masks."""
    height, width = prototypes.shape[1:]
    gain = min(height / where.height, width / where.width)
    aside, above = (width - where.width * gain) / 2, (height - where.height * gain) / 2
    left, top = round(aside - 0.1), round(above - 0.1)
    return prototypes[:, top : height - round(above + 0.1), left : width - round(aside + 0.1)]


def _mask(
    coefficients: NDArray[np.float32],
    box: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    where: Placement,
) -> Mask:
    """One mask, computed within its box only."""
    columns = np.arange(max(0, int(np.ceil(box[0]))), min(where.width, int(np.ceil(box[2]))))
    rows = np.arange(max(0, int(np.ceil(box[1]))), min(where.height, int(np.ceil(box[3]))))
    if not len(columns) or not len(rows):
        return Mask.of(np.zeros((0, 0), np.bool_))
    y0, y1, fy = _between_samples(rows, prototypes.shape[1], where.height)
    x0, x1, fx = _between_samples(columns, prototypes.shape[2], where.width)
    window = prototypes[:, y0[0] : y1[-1] + 1, x0[0] : x1[-1] + 1]
    sums = np.tensordot(coefficients, window, axes=1)
    y0, y1, x0, x1 = y0 - y0[0], y1 - y0[0], x0 - x0[0], x1 - x0[0]
    across = sums[:, x0] * (1 - fx) + sums[:, x1] * fx
    values = across[y0] * (1 - fy)[:, None] + across[y1] * fy[:, None]
    return Mask.of(values > 0, int(columns[0]), int(rows[0]))


def _between_samples(
    positions: NDArray[np.int64], have: int, want: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Which two samples each position lies between when ``have`` become ``want``, and how far."""
    at = np.clip((positions + 0.5) * (have / want) - 0.5, 0, None).astype(np.float32)
    low = np.minimum(at.astype(np.int64), have - 1)
    return low, np.minimum(low + 1, have - 1), (at - low).astype(np.float32)


def _overlaps(ours: Sequence[Any], theirs: Sequence[Any], crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    result = np.zeros((len(ours), len(theirs)))
    for row, one in enumerate(ours):
        for column, other in enumerate(theirs):
            shared = one.shared(other)
            union = one.area if crowd[column] else one.area + other.area - shared
            result[row, column] = shared / union if union else 0.0
    return result
