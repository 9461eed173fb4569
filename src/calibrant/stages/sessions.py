"""Looking at what a task feeds to a model, without the task or the runtime knowing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from calibrant.core.types import Feeds, Runtime, Sample, Session, Task


class WatchedSession:
    """A session that shows every run's inputs before it runs."""

    def __init__(self, session: Session, watch: Callable[[Feeds], None]) -> None:
        self._session, self._watch = session, watch

    def run(self, feeds: Feeds) -> Feeds:
        """Show the inputs, then run."""
        self._watch(feeds)
        return self._session.run(feeds)

    def close(self) -> None:
        """Close the session beneath."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def model_inputs(model: Path, task: Task, runtime: Runtime, samples: Sequence[Sample]) -> Iterator[Feeds]:
    """Each sample as the model's inputs, in order: what a calibrator that runs the model itself is fed."""
    seen: list[Feeds] = []
    with runtime.open(model) as session:
        watched = WatchedSession(session, seen.append)
        for sample in samples:
            seen.clear()
            task.drive(watched, sample)
            yield from seen
