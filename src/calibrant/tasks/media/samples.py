"""What goes into a model: an image of a data set, or an array that is already prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calibrant.tasks.media.images import ImageFile


class ImageSample(Protocol):
    """A sample of any task that reads images; ``path`` is None where it is an array."""

    @property
    def id(self) -> str:
        """Stable between runs, unique in its set."""
        ...

    @property
    def path(self) -> ImageFile | None:
        """The image file."""
        ...


@dataclass(frozen=True, eq=False)
class CalibrationSample:
    """One calibration input: an image file, or an array that is already preprocessed (float32, NCHW).

    ``array``: itself, or what reads it from its file.
    """

    id: str
    path: Path | None = None
    array: NDArray[Any] | Callable[[], NDArray[Any]] | None = None


def array_of(sample: ImageSample) -> NDArray[np.float32] | None:
    """The sample's array, where it is one; of a stored one, read now."""
    array = getattr(sample, "array", None)
    found: NDArray[np.float32] | None = array() if callable(array) else array
    return found
