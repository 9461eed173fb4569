"""A model's one image input, as its signature shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray, ModelSignature, TensorInfo

Layout: TypeAlias = Literal["nchw", "nhwc"]

_DTYPES: Mapping[str, type[np.generic]] = {
    "float32": np.float32,
    "float16": np.float16,
    "float64": np.float64,
    "uint8": np.uint8,
}


@dataclass(frozen=True)
class ImageTensor:
    """An input that takes one image; ``height`` and ``width`` are None where the model leaves them open."""

    name: str
    dtype: str
    layout: Layout
    channels: int
    height: int | None
    width: int | None

    def feed(self, tensor: FloatArray) -> dict[str, NDArray[Any]]:
        """The input's value by its name, for a tensor (1, C, H, W)."""
        laid = tensor if self.layout == "nchw" else np.ascontiguousarray(tensor.transpose(0, 2, 3, 1))
        return {self.name: laid.astype(_DTYPES[self.dtype], copy=False)}

    def fits(self, array: NDArray[Any]) -> bool:
        """Whether an array, preprocessed elsewhere, is one image as the input takes it."""
        wanted: tuple[int | None, ...] = (1, self.channels, self.height, self.width)
        if self.layout == "nhwc":
            wanted = (1, self.height, self.width, self.channels)
        return array.ndim == len(wanted) and all(
            size in (None, given) for size, given in zip(wanted, array.shape, strict=True)
        )


def only_image_input(signature: ModelSignature) -> ImageTensor | None:
    """The input of a model that takes one image, colour or grey, and nothing else; None for others."""
    if len(signature.inputs) != 1:
        return None
    info = signature.inputs[0]
    shape = [size if size is None or size > 0 else None for size in info.shape]  # some files say -1
    if len(shape) != 4 or info.dtype not in _DTYPES or shape[0] not in (None, 1):
        return None
    return _as_image(info, shape)


def _as_image(info: TensorInfo, shape: Sequence[int | None]) -> ImageTensor | None:
    _, first, second, last = shape
    if first in (1, 3):
        return ImageTensor(info.name, info.dtype, "nchw", first, second, last)
    if last in (1, 3):
        return ImageTensor(info.name, info.dtype, "nhwc", last, first, second)
    if first is None and second and last is None:  # Paddle leaves the channels open, but not the height
        return ImageTensor(info.name, info.dtype, "nchw", 3, second, last)
    return None
