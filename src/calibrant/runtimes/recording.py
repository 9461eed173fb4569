"""Seeing activations: a model that has them among its outputs, and a session that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibrant.core.closing import ClosesOnExit
from calibrant.core.types import ConcurrentSession, Feeds, Observer, Session


class RecordingSession(ClosesOnExit):
    """A session that shows chosen outputs and inputs to an observer before it returns."""

    def __init__(self, session: Session, tensors: Sequence[str], observe: Observer) -> None:
        self._session, self._tensors, self._observe = session, tuple(tensors), observe

    @property
    def concurrency(self) -> int:
        """As many runs at once as the session beneath allows."""
        return self._session.concurrency if isinstance(self._session, ConcurrentSession) else 1

    def run(self, feeds: Feeds) -> dict[str, Any]:
        """Run once, observing each of the tensors in the order they were named."""
        outputs = dict(self._session.run(feeds))
        show(self._tensors, {**feeds, **outputs}, self._observe)
        return outputs

    def close(self) -> None:
        """Release the session's memory."""
        self._session.close()


def show(tensors: Sequence[str], values: Feeds, observe: Observer) -> None:
    """Hand each tensor's values to ``observe``, whole and in order."""
    for tensor in tensors:
        observe(tensor, values[tensor])
