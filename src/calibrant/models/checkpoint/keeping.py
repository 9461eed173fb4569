"""Streams between two blocks: in memory or on disk, and what a run that was cut off goes on from.

Behind every block the streams are in a folder of their own, named by the block that comes next, and only then
does ``state.json`` name it: a run that is killed at any moment finds the last finished block whole.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from calibrant.core.disk import cannot_write
from calibrant.core.reading import read_text
from calibrant.core.writing import write_atomically
from calibrant.models.checkpoint.folder import SUFFIX
from calibrant.models.checkpoint.tensors import TensorReader, header_of, tensors_bytes

STATE = "state.json"
_BATCH = "batch"
_FIRST_RATE = 5e8
"""Bytes a second that a disk is thought to write until it is known."""
_SHARE = 0.1
_LARGEST_STATE = 256 * 2**20


class Stream(Protocol):
    """Batches of one stream, (documents, length, width) each."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> torch.Tensor: ...
    def __setitem__(self, index: int, batch: torch.Tensor) -> None: ...


class DiskStream:
    """A stream on disk: batches behind the block at work replace those before it when all are there.

    old: where batches lie; new: where those behind the block at work go.
    """

    def __init__(self, old: Path, new: Path, batches: int, device: torch.device) -> None:
        self._old, self._new, self._batches, self._device = old, new, batches, device
        self._written: set[int] = set()

    @property
    def bytes(self) -> int:
        """Of its files."""
        return sum(path.stat().st_size for path in self._old.glob(f"*{SUFFIX}"))

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> torch.Tensor:
        return load_batch(self._new if index in self._written else self._old, index, self._device)

    def __setitem__(self, index: int, batch: torch.Tensor) -> None:
        save_batch(self._new, index, batch)
        self._written.add(index)


def save_batch(folder: Path, index: int, batch: torch.Tensor) -> None:
    """Write a batch. Raises OutputError where the disk is full."""
    path = folder / f"{index}{SUFFIX}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, tensors_bytes({_BATCH: batch.cpu().numpy()}), durably=False)
    except OSError as error:
        raise cannot_write(path, error, "choose a folder with more room with --out") from error


def load_batch(folder: Path, index: int, device: torch.device) -> torch.Tensor:
    """Read a batch. Raises ModelError where it is gone or broken."""
    found = TensorReader(header_of(folder / f"{index}{SUFFIX}")).raw(_BATCH)
    return torch.from_numpy(found).to(device)


@dataclass(frozen=True)
class Progressed:
    """What a run that was cut off had done: the block that comes next, and what was noted on the way."""

    next_block: int
    notes: Mapping[str, Any]


class StreamKeeper:
    """Keeps streams in a folder so that the same work goes on from the last finished block.

    fingerprint: of everything that decides the streams; what another one left is deleted. in_memory: whether
    streams are in memory while they are used.
    """

    def __init__(self, folder: Path, fingerprint: str, *, in_memory: bool) -> None:
        self.folder, self._fingerprint, self.in_memory = folder, fingerprint, in_memory
        self._rate, self._kept_at = _FIRST_RATE, time.perf_counter()
        self._due_bytes = 0

    def is_due(self, size: int) -> bool:
        """Whether to keep ``size`` bytes now: always on disk, else where it takes a tenth of the time.

        Where the disk has no room for them twice nothing is kept.
        """
        self._due_bytes = size
        if not self.in_memory:
            return True
        if (time.perf_counter() - self._kept_at) * _SHARE < size / self._rate:
            return False
        existing = next(parent for parent in (self.folder, *self.folder.parents) if parent.is_dir())
        return shutil.disk_usage(existing).free > 2 * size

    def progressed(self) -> Progressed | None:
        """What there is to go on from; None: nothing."""
        try:
            found = json.loads(read_text(self.folder / STATE, _LARGEST_STATE))
            if found["fingerprint"] != self._fingerprint:
                return None
            return Progressed(int(found["next_block"]), found["notes"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self) -> None:
        """Delete what another run left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def before(self, block: int) -> Path:
        """Where the streams are that enter a block."""
        return self.folder / f"before-{block:05d}"

    def commit(self, next_block: int, notes: Mapping[str, Any], seconds: float) -> None:
        """All streams that enter ``next_block`` are there: forget those before. seconds: what that took."""
        self._rate = max(1.0, self._due_bytes / max(seconds, 1e-6))
        self._kept_at = time.perf_counter()
        content = {"fingerprint": self._fingerprint, "next_block": next_block, "notes": dict(notes)}
        try:
            write_atomically(self.folder / STATE, json.dumps(content).encode())
        except OSError as error:
            raise cannot_write(self.folder / STATE, error, "choose another folder with --out") from error
        for folder in self.folder.glob("before-*"):
            if folder != self.before(next_block):
                shutil.rmtree(folder, ignore_errors=True)

    def forget(self) -> None:
        """The work is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def bytes_of(stream: Stream) -> int:
    """What a stream takes, in memory or on disk."""
    return stream.bytes if isinstance(stream, DiskStream) else sum(each.nbytes for each in batches_in(stream))


def batches_in(stream: Stream | Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """One after the other."""
    return (stream[index] for index in range(len(stream)))
