"""Images for a model that nobody knows: what is not known of it is assumed, and told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.types import ModelSignature
from calibrant.tasks.media.images import read_image
from calibrant.tasks.media.samples import CalibrationSample
from calibrant.tasks.outputs.samples import FeedSample

_COLOURS = (1, 3)


@dataclass(frozen=True)
class PictureInput:
    """The only input of a model that takes images. channels_last: NHWC. batch: images a run."""

    name: str
    dtype: str
    batch: int
    channels: int
    height: int
    width: int
    channels_last: bool

    @property
    def assumption(self) -> str:
        """What the user is to know."""
        values = "0..255" if np.dtype(self.dtype).kind in "iu" else "0..1"
        colours = "RGB" if self.channels == 3 else "grey"
        return (
            f"no family is known: images are stretched to {self.height}x{self.width} and fed as {colours} in "
            f"{values}; where the model wants something else, name its --family or give arrays (.npy)"
        )


def picture_input(signature: ModelSignature) -> PictureInput:
    """Where images go. Raises ModelError where that is not clear."""
    (info, *others) = signature.inputs
    shape = info.shape
    if others or len(shape) != 4:
        raise ModelError(
            f"images do not fill the inputs {', '.join(repr(info.name) for info in signature.inputs)}; "
            "give arrays by the inputs' names (.npz)"
        )
    channels_last = shape[1] not in _COLOURS and shape[3] in _COLOURS
    channels, height, width = (shape[3], *shape[1:3]) if channels_last else (shape[1], *shape[2:])
    if channels not in _COLOURS:
        raise ModelError(
            f"input '{info.name}' has {channels or 'an unknown number of'} channels, and images 1 or 3; "
            "give arrays (.npy)"
        )
    if not height or not width:
        raise ModelError(
            f"input '{info.name}' leaves its height and width open; say them, e.g. --input-shape 640x640"
        )
    return PictureInput(info.name, info.dtype, shape[0] or 1, int(channels), height, width, channels_last)


def picture_samples(images: Sequence[CalibrationSample], fed: PictureInput) -> tuple[FeedSample, ...]:
    """One sample a run; the last batch is filled up from the beginning."""
    paths = [image.path for image in images if image.path is not None]
    groups = [
        [paths[(start + index) % len(paths)] for index in range(fed.batch)]
        for start in range(0, len(paths), fed.batch)
    ]
    return tuple(
        FeedSample(images[number * fed.batch].id, partial(_feeds, group, fed), group[0])
        for number, group in enumerate(groups)
    )


def _feeds(paths: Sequence[Path], fed: PictureInput) -> Mapping[str, NDArray[Any]]:
    pixels = np.stack([_fitted(path, fed) for path in paths])
    ordered = pixels if fed.channels_last else pixels.transpose(0, 3, 1, 2)
    scale = 1.0 if np.dtype(fed.dtype).kind in "iu" else 255.0
    return {fed.name: np.ascontiguousarray(ordered / np.float32(scale), fed.dtype)}


def _fitted(path: Path, fed: PictureInput) -> NDArray[np.uint8]:
    """(height, width, channels), uint8."""
    image = cv2.resize(read_image(path), (fed.width, fed.height), interpolation=cv2.INTER_LINEAR)
    colour = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if fed.channels == 3 else cv2.COLOR_BGR2GRAY)
    return np.asarray(colour, np.uint8).reshape(fed.height, fed.width, fed.channels)
