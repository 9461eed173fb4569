"""Files as work names them, and what a worker process keeps open between pieces of work."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from calibrant.core.errors import DataError
from calibrant.core.tasks import Task
from calibrant.models.onnx.files import sha256_of

T = TypeVar("T", bound=AbstractContextManager[object])

SHARD = 8
"""Samples: few, so that a slow worker holds few; what a shard costs beside them is in docs/scale.md."""


def shards_of(positions: Sequence[int], size: int = SHARD) -> tuple[Sequence[int], ...]:
    """Positions in runs of ``size``, the last one shorter."""
    return tuple(positions[at : at + size] for at in range(0, len(positions), size))


@dataclass(frozen=True)
class NamedFile:
    """A file by its absolute path and its content."""

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> NamedFile:
        """What lies at ``path`` now."""
        return cls(str(path.absolute()), sha256_of((path,)))

    def checked(self) -> Path:
        """Where it lies. Raises DataError where this machine has none there, or another one."""
        path = Path(self.path)
        try:
            found = sha256_of((path,))
        except OSError as error:
            raise DataError(
                f"machine {socket.gethostname()} cannot read {path} ({error.strerror}); workers need the "
                "same files at the same paths, e.g. on a shared disk"
            ) from error
        if found != self.sha256:
            raise DataError(
                f"{path} on machine {socket.gethostname()} is not the file that was sent for: its SHA-256 "
                f"begins {found[:8]}, not {self.sha256[:8]}; share one file system, or copy it there again"
            )
        return path


@dataclass(frozen=True, eq=False)
class NamedSamples:
    """Samples, and a hash of what each must hold; None where the task cannot tell."""

    samples: tuple[Any, ...]
    digests: tuple[bytes | None, ...]

    @classmethod
    def of(cls, samples: Sequence[Any], task: Task) -> NamedSamples:
        """The samples as they are now."""
        return cls(tuple(samples), tuple(map(task.digest, samples)))

    def __len__(self) -> int:
        return len(self.samples)

    def at(self, positions: Sequence[int]) -> NamedSamples:
        """Some of them."""
        return NamedSamples(
            tuple(self.samples[position] for position in positions),
            tuple(self.digests[position] for position in positions),
        )

    def checked(self, task: Task) -> tuple[Any, ...]:
        """The samples. Raises DataError where this machine has other files in their places."""
        for sample, digest in zip(self.samples, self.digests, strict=True):
            if digest is not None and task.digest(sample) != digest:
                raise DataError(
                    f"sample {sample.id!r} on machine {socket.gethostname()} is not the one that was "
                    "sent for; workers need the same files at the same paths, e.g. on a shared disk"
                )
        return self.samples


class KeptOpen:
    """The one thing that this process has open: opening a model anew for every shard would cost more."""

    def __init__(self) -> None:
        self._key: Hashable = None
        self._opened: AbstractContextManager[object] | None = None

    def get(self, key: Hashable, open_it: Callable[[], T]) -> T:
        """What is open under ``key``; anything else is closed and this opened."""
        if self._opened is None or key != self._key:
            self.close()
            self._opened, self._key = open_it(), key
        return cast(T, self._opened)

    def close(self) -> None:
        """Close what is open."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.__exit__(None, None, None)


KEPT_OPEN = KeptOpen()
