"""Work for other processes, on this machine or others: what it is, and who has it done.

Work is a value that names files by path and content. It holds no open session, and nothing of it depends on
which process does it, or on how often: work whose process died is simply done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from types import TracebackType
from typing import Any, Protocol, Self

ATTEMPTS = 4
"""How often work is begun before the death of its process counts as its own fault."""


class Work(Protocol):
    """One piece of work; it can be pickled, and so can what it returns."""

    @property
    def gpus(self) -> int:
        """How many GPUs it needs for itself."""
        ...

    def __call__(self) -> Any:
        """Do it. Raises CalibrantError where it cannot be done, wherever it is tried."""
        ...


class Executor(Protocol):
    """Has work done by other processes. Whoever opens it closes it: use it as a context manager."""

    def slots(self, gpus: int = 0) -> int:
        """How many pieces of work are done at once that need so many GPUs each; one at least."""
        ...

    def submit(self, work: Work) -> Future[Any]:
        """Have it done as soon as a process is free.

        The future raises what the work raised, and RuntimeFailedError where every process that began it died.
        Cancelling it saves the work if nobody has begun it.
        """
        ...

    def close(self) -> None:
        """End the processes that were started for it; what is under way is lost."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def completed(executor: Executor, works: Sequence[Work]) -> Iterator[tuple[int, Any]]:
    """Have ``works`` done and yield each one's position and result, whichever is ready first.

    The first error ends it: what nobody has begun is never done.
    """
    positions = {executor.submit(work): position for position, work in enumerate(works)}
    try:
        for future in as_completed(list(positions)):
            yield positions.pop(future), future.result()
    finally:
        for future in positions:
            future.cancel()
