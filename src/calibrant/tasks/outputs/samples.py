"""What any model is fed: arrays for its inputs, or images for its only one, in batches of its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.media.arrays import StoredArray, stored_arrays
from calibrant.tasks.media.files import first

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})


@dataclass(frozen=True, eq=False)
class FeedSample:
    """One run of a model: ``feeds`` reads the arrays of its inputs. ``path``: of its image, if any."""

    id: str
    feeds: Callable[[], Mapping[str, NDArray[Any]]]
    path: Path | None = None


def array_samples(
    source: Path, signature: ModelSignature, limit: int | None = None
) -> tuple[FeedSample, ...]:
    """One sample a run from a ``.npy`` or ``.npz`` file; the first ``limit`` runs.

    Of a model with one input, every array holds samples of it along the first axis, or is one sample itself.
    Of a model with several, a ``.npz`` has an array for each, by the inputs' names, all of the same number
    of samples. Where the model's batch is fixed, a run takes as many samples, and the last one is filled up
    from the beginning.
    Raises DataError where names, shapes or types do not fit.
    """
    arrays = stored_arrays(source)
    names = [info.name for info in signature.inputs]
    if set(names) <= set(arrays):
        groups = [{name: arrays[name] for name in names}]
    elif len(names) == 1:
        groups = [{names[0]: array} for array in arrays.values()]
    else:
        raise DataError(
            f"'{source}' holds {', '.join(map(repr, arrays)) or 'nothing'}, and the model has the inputs "
            f"{', '.join(map(repr, names))}; save a .npz with these names"
        )
    samples = [sample for group in groups for sample in _runs(group, signature, source)]
    if not samples:
        raise DataError(f"'{source}' holds no samples; save at least one along the first axis")
    return tuple(samples[: first(limit, len(samples))])


def _runs(group: Mapping[str, StoredArray], signature: ModelSignature, source: Path) -> Sequence[FeedSample]:
    inputs = [_Input.of(info, group[info.name]) for info in signature.inputs]
    counts = {given.info.name: given.runs for given in inputs}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name!r} {count}" for name, count in counts.items())
        raise DataError(
            f"'{source}' has different numbers of samples for its inputs ({told}); save as many of each"
        )
    label = "" if len(group) > 1 else f"/{inputs[0].array.name}"
    return [
        FeedSample(f"{source.name}{label}[{index}]", partial(_feeds, inputs, index))
        for index in range(inputs[0].runs)
    ]


def _feeds(inputs: Sequence[_Input], index: int) -> dict[str, NDArray[Any]]:
    return {given.info.name: given.run(index) for given in inputs}


@dataclass(frozen=True, eq=False)
class _Input:
    """How a stored array is cut into runs of one input. batch: rows a run; 0: each row is a whole run."""

    info: TensorInfo
    array: StoredArray
    batch: int

    @classmethod
    def of(cls, info: TensorInfo, array: StoredArray) -> _Input:
        """Raises DataError where shape or type do not fit."""
        rank, given = len(info.shape), len(array.shape)
        if given == rank and rank > 0:
            found, row = cls(info, array, info.shape[0] or 1), array.shape[1:]
            wanted = info.shape[1:]
        elif given == rank + 1:
            found, row, wanted = cls(info, array, 0), array.shape[1:], info.shape
        elif given == rank - 1 and info.shape[0] in (None, 1):
            found, row, wanted = cls(info, array.as_one(), 1), array.shape, info.shape[1:]
        else:
            raise _misfit(info, array)
        if any(size not in (None, side) for size, side in zip(wanted, row, strict=True)) or 0 in row:
            raise _misfit(info, array)
        if not _is_safe(array.dtype, np.dtype(info.dtype)):
            raise DataError(
                f"'{array.name}' is {array.dtype}, and input '{info.name}' takes {info.dtype}; "
                "save it as that"
            )
        return found

    @property
    def runs(self) -> int:
        """How often the model can be run."""
        return -(-self.array.shape[0] // (self.batch or 1))

    def run(self, index: int) -> NDArray[Any]:
        """The input of one run."""
        if self.batch == 0:
            return self._cast(self.array.read(index, 1)[0])
        rows = self.array.read(index * self.batch, self.batch)
        missing = self.batch - len(rows)
        if missing:
            rows = np.concatenate([rows, np.resize(self.array.read(0, missing), (missing, *rows.shape[1:]))])
        return self._cast(rows)

    def _cast(self, rows: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(rows, self.info.dtype)


def _is_safe(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    """Numbers may become floats, and integers other integers; floats never integers."""
    return given.kind in "biuf" and (wanted.kind == "f" or given.kind != "f")


def _misfit(info: TensorInfo, array: StoredArray) -> DataError:
    shape = "x".join("?" if size is None else str(size) for size in info.shape)
    return DataError(
        f"'{array.name}' has shape {'x'.join(map(str, array.shape))}, and input '{info.name}' takes {shape}; "
        "save samples along the first axis"
    )
