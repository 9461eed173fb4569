"""Looking at what a task feeds to a model, without the task or the runtime knowing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from calibrant.core.closing import ClosesOnExit
from calibrant.core.tasks import MODEL, Task
from calibrant.core.types import Feeds, Runtime, Sample, Session


def _ignore(arrays: Feeds) -> None:
    pass


class WatchedSession(ClosesOnExit):
    """A session that shows every run's inputs before it runs, and its outputs after."""

    def __init__(
        self,
        session: Session,
        watch: Callable[[Feeds], None] = _ignore,
        watch_outputs: Callable[[Feeds], None] = _ignore,
    ) -> None:
        self._session, self._watch, self._watch_outputs = session, watch, watch_outputs

    def run(self, feeds: Feeds) -> Feeds:
        """Show the inputs, run, and show the outputs."""
        self._watch(feeds)
        outputs = self._session.run(feeds)
        self._watch_outputs(outputs)
        return outputs

    def close(self) -> None:
        """Close the session beneath."""
        self._session.close()


def drive(task: Task, session: Session, sample: Any) -> Any:
    """The raw outputs of one sample, by a model that is one file."""
    return task.drive({MODEL: session}, [sample])[0]


def model_inputs(model: Path, task: Task, runtime: Runtime, samples: Sequence[Sample]) -> Iterator[Feeds]:
    """Each sample as the model's inputs, in order: what a calibrator that runs the model itself is fed."""
    seen: list[Feeds] = []
    with runtime.open(model) as session:
        watched = WatchedSession(session, seen.append)
        for sample in samples:
            seen.clear()
            drive(task, watched, sample)
            yield from seen
