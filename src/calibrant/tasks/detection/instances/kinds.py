"""What tells one kind of instance from another: everything else is shared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.core.tasks import Words
from calibrant.core.types import Feeds, ModelSignature
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.instances.types import Instances, InstanceSample
from calibrant.tasks.detection.preprocess import Placement


class Kind(ABC):
    """A kind of instance.

    task: the task's name, and the package of its report. told: what Ultralytics' metadata calls it. figure:
    how its figures begin. most: detections of a class in an image that count. is_turned: boxes come with an
    angle. begins_with_box: so does a line of Ultralytics' labels. area_of_box: an object's area as a share of
    its box's, where labels do not say.
    """

    task: ClassVar[str]
    told: ClassVar[str]
    title: ClassVar[str]
    words: ClassVar[Words]
    metric: ClassVar[Metric]
    figure: ClassVar[str]
    most: ClassVar[int] = 100
    area_of_box: ClassVar[float] = 1.0
    is_turned: ClassVar[bool] = False
    begins_with_box: ClassVar[bool] = False

    @abstractmethod
    def numbers_beside(self, signature: ModelSignature) -> int | None:
        """How many numbers a candidate has beside box and scores; None: the model is not of this kind."""

    @abstractmethod
    def shapes(
        self,
        extras: NDArray[np.float32],
        boxes: NDArray[np.float32],
        outputs: Feeds,
        frame: Frame,
        where: Placement,
    ) -> Sequence[Any]:
        """What the kind adds to each kept candidate.

        extras: (N, extra). boxes: corners in pixels of the original image, of turned boxes: centre and size
        (N, 4) in pixels of the input.
        """

    @abstractmethod
    def similarity(
        self, found: Instances, sample: InstanceSample, rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """How far each found one is each labelled one of ``rows``, 0..1, shape (found, rows)."""

    @abstractmethod
    def between(self, ours: Instances, theirs: Instances) -> NDArray[np.float64]:
        """How far two models' findings are the same, 0..1, shape (ours, theirs)."""

    @abstractmethod
    def of_record(self, record: Mapping[str, Any], width: int, height: int) -> tuple[Any, bool]:
        """The label in a COCO annotation, and whether it is to be ignored. Raises ValueError."""

    @abstractmethod
    def of_numbers(self, values: Sequence[float], width: int, height: int) -> tuple[Any, bool]:
        """The same from a line of Ultralytics' labels, without its class: numbers 0..1. Raises ValueError."""

    @abstractmethod
    def packed(self, shapes: Sequence[Any]) -> Mapping[str, NDArray[Any]]:
        """Shapes as plain arrays by name."""

    @abstractmethod
    def unpacked(self, arrays: Mapping[str, NDArray[Any]], count: int) -> Sequence[Any]:
        """The shapes that :meth:`packed` was given. Raises KeyError or ValueError."""

    def other_figures(
        self, samples: Sequence[InstanceSample], found: Sequence[Instances], classes: int
    ) -> dict[str, float]:
        """More figures of this kind, fractions 0..1 by name."""
        del samples, found, classes
        return {}
