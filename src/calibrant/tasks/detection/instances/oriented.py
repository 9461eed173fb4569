"""Oriented boxes: boxes with an angle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.core.tasks import Words
from calibrant.core.types import Feeds, ModelSignature
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.instances.kinds import Kind
from calibrant.tasks.detection.instances.matching import match_table, mean_precision
from calibrant.tasks.detection.instances.turned import exact_overlap, of_corners, probable_overlap
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.preprocess import Placement

_CORNERS = 8


class Oriented(Kind):
    """Turned boxes (5,): centre, width, height in pixels of the image, angle in radians.

    They are matched by probable overlap, as Ultralytics' validator does; ``polygon_map50`` is DOTA's figure,
    by exact overlap.
    """

    task: ClassVar[str] = "oriented"
    told: ClassVar[str] = "obb"
    title: ClassVar[str] = "oriented boxes: boxes with an angle"
    words: ClassVar[Words] = Words("image", "images", "box", "boxes")
    metric: ClassVar[Metric] = Metric("obb_map50_95", "mAP", "mAP50-95 (turned boxes)", floor=0.01)
    figure: ClassVar[str] = "obb"
    is_turned: ClassVar[bool] = True

    def numbers_beside(self, signature: ModelSignature) -> int | None:
        """The angle."""
        return 1 if len(signature.outputs) == 1 and len(signature.outputs[0].shape) == 3 else None

    def shapes(
        self,
        extras: NDArray[np.float32],
        boxes: NDArray[np.float32],
        outputs: Feeds,
        frame: Frame,
        where: Placement,
    ) -> Sequence[Any]:
        """The boxes in pixels of the image; sizes by one factor, which keeps the angle."""
        del outputs
        gain = min(frame.height / where.height, frame.width / where.width)
        padding = ((frame.width - where.width * gain) / 2, (frame.height - where.height * gain) / 2)
        centres, sizes = (boxes[:, :2] - padding) / gain, boxes[:, 2:] / gain
        return list(np.concatenate([centres, sizes, extras[:, -1:]], axis=1).astype(np.float32))

    def similarity(
        self, found: Instances, sample: InstanceSample, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Probable overlap."""
        return probable_overlap(_table(found.shapes), _table([sample.shapes[row] for row in rows]))

    def between(self, ours: Instances, theirs: Instances) -> NDArray[np.float64]:
        """Exact overlap, which is 1 for the same box."""
        return exact_overlap(_table(ours.shapes), _table(theirs.shapes))

    def of_record(self, record: Mapping[str, Any], width: int, height: int) -> tuple[Any, bool]:
        """Four corners in ``segmentation``, as converters of DOTA to COCO write them."""
        del width, height
        told = record.get("segmentation")
        if not isinstance(told, list) or len(told) != 1 or len(told[0]) != _CORNERS:
            raise ValueError("no four corners in segmentation")
        points = np.asarray(told[0], np.float64).reshape(4, 2)
        if not np.isfinite(points).all():
            raise ValueError("corners are not finite")
        return of_corners(points), bool(record.get("iscrowd", 0))

    def of_numbers(self, values: Sequence[float], width: int, height: int) -> tuple[Any, bool]:
        """Four corners."""
        if len(values) != _CORNERS:
            raise ValueError("no four corners")
        return of_corners(np.asarray(values, np.float64).reshape(4, 2) * (width, height)), False

    def packed(self, shapes: Sequence[Any]) -> Mapping[str, NDArray[Any]]:
        """All boxes in one array."""
        return {"turned": _table(shapes).astype(np.float32)}

    def unpacked(self, arrays: Mapping[str, NDArray[Any]], count: int) -> Sequence[Any]:
        """The boxes again."""
        turned = arrays["turned"]
        if turned.shape != (count, 5) or turned.dtype != np.float32:
            raise ValueError("boxes of others")
        return list(turned)

    def other_figures(
        self, samples: Sequence[InstanceSample], found: Sequence[Instances], classes: int
    ) -> dict[str, float]:
        """DOTA's mean average precision at IoU 0.5, by polygons."""
        table = match_table(samples, found, classes, _exactly, self.most)
        return {"polygon_map50": mean_precision(table, 1)}


def _exactly(found: Instances, sample: InstanceSample, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return exact_overlap(_table(found.shapes), _table([sample.shapes[row] for row in rows]))


def _table(shapes: Sequence[Any]) -> NDArray[np.float64]:
    return np.array(shapes, np.float64).reshape(-1, 5)
