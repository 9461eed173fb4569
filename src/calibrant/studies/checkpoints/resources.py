"""What a checkpoint's study takes, told beforehand: memory, and where streams are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from calibrant.core.machine import resident_bytes
from calibrant.core.progress import Progress
from calibrant.core.reading import read_text
from calibrant.core.sizes import format_bytes
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.layers import CheckpointLayer

UNFINISHED = "unfinished"
"""The folder in a run's in which streams are kept until it is done."""

_FLOAT = 4
_LOGITS = 3 * 2048 * 8192 * _FLOAT
_STATE = "state.json"
_LARGEST_STATE = 256 * 2**20


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes: of the largest block in float with its moments and a candidate's copy, and of all streams."""

    block: int
    streams: int

    @property
    def in_memory(self) -> int:
        """With streams in memory."""
        return self.block + self.streams + _LOGITS


def estimate_memory(
    checkpoint: Checkpoint,
    layers: Iterable[CheckpointLayer],
    calibration_tokens: int,
    test_tokens: int,
    candidates: int,
    *,
    moments: bool = True,
) -> MemoryEstimate:
    """What a study takes beside the process itself. layers: those that are quantized."""
    blocks: dict[tuple[str | None, int | None], dict[str, int]] = {}
    squares: dict[tuple[str | None, int | None], dict[str, int]] = {}
    for layer in layers:
        place = layer.stack, layer.block
        blocks.setdefault(place, {})[layer.name] = layer.size
        # Products of one width within a module read the same inputs, or nearly so: an upper bound.
        reader = f"{layer.name.rpartition('.')[0]}:{layer.shape[1]}"
        squares.setdefault(place, {})[reader] = layer.shape[1] ** 2
    largest = max((sum(sizes.values()) for sizes in blocks.values()), default=0)
    seconds = max((sum(sizes.values()) for sizes in squares.values()), default=0) if moments else 0
    width = int(checkpoint.config.get("hidden_size") or 0)
    streams = ((candidates + 1) * test_tokens + calibration_tokens) * width
    return MemoryEstimate(_FLOAT * (2 * largest + 2 * seconds), _FLOAT * streams)


def streams_fit(needed: MemoryEstimate, limit: int | None, progress: Progress) -> bool:
    """Whether streams stay in memory; said beforehand. limit: bytes that the process may use; None: any."""
    total = resident_bytes() + needed.in_memory
    if limit is None or total <= limit:
        progress.note(f"about {format_bytes(total)} of memory will be used")
        return True
    rest, kept, most = (format_bytes(size) for size in (total - needed.streams, needed.streams, limit))
    progress.note(
        f"about {rest} of memory will be used, and {kept} of streams are kept on disk: together they exceed "
        f"the {most} that are allowed"
    )
    return False


def fingerprint_of(checkpoint: Checkpoint, others: Mapping[str, object]) -> str:
    """A hash of what decides a study's streams: the model's files, and ``others``, JSON types."""
    files = {tensor.file for tensor in checkpoint.tensors.values()}
    stats = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    told = json.dumps(
        [version("calibrant"), dict(checkpoint.config), stats, dict(others)], sort_keys=True, default=str
    )
    return hashlib.sha256(told.encode()).hexdigest()


def unfinished_run(candidates: Sequence[Path], fingerprint: str) -> Path | None:
    """The first of these folders in which a run of this very study was cut off; None: there is none."""
    for folder in candidates:
        try:
            told = json.loads(read_text(folder / UNFINISHED / _STATE, _LARGEST_STATE))
        except (OSError, ValueError):
            continue
        if isinstance(told, dict) and told.get("fingerprint") == fingerprint:
            return folder
    return None
