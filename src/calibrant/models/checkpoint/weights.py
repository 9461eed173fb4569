"""Weights in float, however the file has them: plain, or quantized as compressed-tensors or DeepSeek do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.layers import PARTS
from calibrant.models.checkpoint.packing import dequantized
from calibrant.models.checkpoint.tensors import BLOCK_TYPES, TensorReader

_FLOATS = ("F64", "F32", "F16", "BF16")


class Weights:
    """A checkpoint's weights by name, as float32; every read is counted.

    ``name.weight`` is found where the file has packed integers and scales in its place. Methods raise
    ModelError where a tensor cannot be read or holds NaN.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._reader = TensorReader(checkpoint.tensors)
        self._settings = _weight_settings(checkpoint.quantization)

    @property
    def bytes_read(self) -> int:
        """Taken from the files so far."""
        return self._reader.bytes_read

    def __contains__(self, name: object) -> bool:
        if name in self._reader or f"{name}_packed" in self._reader:
            return True
        return f"{str(name).removesuffix('.weight')}.qweight" in self._reader

    def values(self, name: str, rows: slice | None = None) -> FloatArray:
        """One tensor, or ``rows`` of its first axis."""
        module = name.removesuffix(".weight")
        stored = self._reader.tensors.get(name)
        is_plain = rows is not None or module == name or not self.is_quantized(module)
        if is_plain or (stored is not None and stored.dtype in BLOCK_TYPES):
            return self._reader.values(name, rows)
        parts = {part: f"{module}.{part}" for part in PARTS if f"{module}.{part}" in self._reader}
        arrays = {part: self._reader.raw(full) for part, full in parts.items()}
        return dequantized(arrays, self._settings, module)

    def rows(self, name: str, numbers: NDArray[np.int64]) -> FloatArray:
        """The rows of a matrix with these numbers, sorted, without reading the others."""
        parts = [self._reader.values(name, slice(start, stop)) for start, stop in _runs(numbers)]
        return np.concatenate(parts)

    def raw(self, name: str) -> NDArray[Any]:
        """A tensor in the file's own type."""
        return self._reader.raw(name)

    def is_quantized(self, module: str) -> bool:
        """Whether a layer's weight is stored in codes and scales."""
        stored = self._reader.tensors.get(f"{module}.weight")
        return stored is None or stored.dtype not in _FLOATS


def _weight_settings(quantization: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The weights' entry of the first group of a compressed-tensors configuration; all of another tool's."""
    if (quantization or {}).get("quant_method") in ("gptq", "awq"):
        return quantization
    groups = (quantization or {}).get("config_groups")
    if not isinstance(groups, dict) or not groups:
        return None
    first = next(iter(groups.values()))
    found = first.get("weights") if isinstance(first, dict) else None
    return found if isinstance(found, dict) else None


def _runs(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Sorted numbers as half-open runs."""
    ends = np.flatnonzero(np.diff(numbers) > 1)
    starts = numbers[np.concatenate([[0], ends + 1])]
    stops = numbers[np.concatenate([ends, [len(numbers) - 1]])] + 1
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]
