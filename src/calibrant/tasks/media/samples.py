"""What goes into a model: an image of a data set, or an array that is already prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError
from calibrant.tasks.media.images import ImageFile
from calibrant.tasks.media.inputs import ImageTensor


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


def array_that_fits(sample: ImageSample, image: ImageTensor) -> NDArray[np.float32] | None:
    """The sample's array, ready for the input, where it is one; None: it is an image.

    Raises DataError for an array that the input does not take, and for a sample that is neither.
    """
    array = array_of(sample)
    if array is None:
        if sample.path is None:
            raise DataError(f"sample '{sample.id}' has neither image nor array; give one of them")
        return None
    if not image.fits(array):
        raise DataError(
            f"calibration sample '{sample.id}' has shape {array.shape}, which input '{image.name}' does not "
            "take; preprocess it for this model"
        )
    return np.ascontiguousarray(array)
