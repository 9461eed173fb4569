"""A model's inputs: the image, and the few others that detectors take beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.types import FloatArray, ModelSignature, TensorInfo
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.decode.candidates import describe_shape

Layout: TypeAlias = Literal["nchw", "nhwc"]

_DTYPES: Mapping[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "float64": np.float64,
    "uint8": np.uint8,
}


@dataclass(frozen=True)
class ImageInput:
    """The input that takes the image; ``height`` and ``width`` are None where the model leaves them open."""

    name: str
    dtype: str
    layout: Layout
    height: int | None
    width: int | None

    @property
    def known_frame(self) -> Frame | None:
        """The size of the input where the model fixes it."""
        return Frame(self.height, self.width) if self.height and self.width else None

    def frame(self, imgsz: int | tuple[int, int] | None = None) -> Frame:
        """The size of the input, pixels; ``imgsz`` (a side, or height and width) fills in what is open.

        Raises ModelError when a size is open and none is given, SettingsError when they contradict.
        """
        wanted = (imgsz, imgsz) if isinstance(imgsz, int) else imgsz
        given = (self.height, self.width)
        if wanted is None:
            if self.known_frame is None:
                raise ModelError(
                    f"input '{self.name}' leaves its height and width open; say them, e.g. --imgsz 640"
                )
            return self.known_frame
        if any(fixed not in (None, size) for fixed, size in zip(given, wanted, strict=True)):
            raise SettingsError(
                f"--imgsz {wanted[0]}x{wanted[1]} differs from input '{self.name}', which is fixed at "
                f"{describe_shape(given)}; leave --imgsz out"
            )
        return Frame(*wanted)

    def cast(self, tensor: FloatArray) -> NDArray[Any]:
        """The tensor in the number type that the input takes."""
        return tensor.astype(_DTYPES[self.dtype], copy=False)


def image_input(signature: ModelSignature) -> ImageInput:
    """The model's image input. Raises ModelError when the inputs are not those of a detector."""
    found = next((info for info in signature.inputs if len(info.shape) == 4), None)
    given = ", ".join(f"{info.name} {describe_shape(info.shape)}" for info in signature.inputs)
    if found is None:
        raise ModelError(f"no input takes an image, the model has {given}; a detector has e.g. 1x3x640x640")
    layout = _layout(found)
    if layout is None or found.dtype not in _DTYPES or found.shape[0] not in (None, 1):
        raise ModelError(
            f"input '{found.name}' ({found.dtype} {describe_shape(found.shape)}) does not take one colour "
            "image; export the model for e.g. float32 1x3x640x640"
        )
    strange = [info.name for info in signature.inputs if info is not found and info.name not in _OTHER_INPUTS]
    if strange:
        raise ModelError(f"input '{strange[0]}' is none that a detector has, the model has {given}")
    height, width = found.shape[2:] if layout == "nchw" else found.shape[1:3]
    return ImageInput(found.name, found.dtype, layout, height, width)


def has_prototypes(signature: ModelSignature) -> bool:
    """Whether a model gives a table of candidates and a map of prototypes for their masks."""
    ranks = sorted(len(info.shape) for info in signature.outputs)
    return ranks == [3, 4] and signature.metadata.get("task", "segment") == "segment"


def other_feeds(signature: ModelSignature, frame: Frame) -> dict[str, NDArray[Any]]:
    """What the inputs beside the image get."""
    feeds = {}
    for info in signature.inputs:
        if info.name == "orig_target_sizes":  # so that boxes come out in input pixels
            feeds[info.name] = np.array([[frame.width, frame.height]], np.int64)
        elif info.name == "pixel_mask":  # every pixel counts, padding too: the float model sees the same
            height, width = (size or full for size, full in zip(info.shape[1:], _both(frame), strict=True))
            feeds[info.name] = np.ones((1, height, width), np.int64)
        elif info.name == "scale_factor":  # so that boxes come out in input pixels (PaddleDetection)
            feeds[info.name] = np.ones((1, 2), _DTYPES.get(info.dtype, np.float32))
        elif info.name == "im_shape":
            feeds[info.name] = np.array([_both(frame)], _DTYPES.get(info.dtype, np.float32))
    return feeds


_OTHER_INPUTS = frozenset({"orig_target_sizes", "pixel_mask", "scale_factor", "im_shape"})


def _both(frame: Frame) -> tuple[int, int]:
    return frame.height, frame.width


def _layout(info: TensorInfo) -> Layout | None:
    if info.shape[1] == 3:
        return "nchw"
    return "nhwc" if info.shape[3] == 3 else None
