"""A session that shows activations at nearly the speed of one that does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from calibrant.core.closing import ClosesOnExit
from calibrant.core.errors import RuntimeFailedError
from calibrant.core.types import ConcurrentSession, Feeds, Observer
from calibrant.runtimes.ort_probe import FusedProbe, fused_probe
from calibrant.runtimes.recording import show


class FusedRecordingSession(ClosesOnExit):
    """Shows tensors from the optimized graph, or as plain outputs wherever that is the only right way.

    The first run is plain; the fused probe is made from its values. Outputs are computed only when somebody
    looks at them, and once somebody has, all runs are plain.
    """

    def __init__(
        self,
        model: Path,
        tensors: Sequence[str],
        observe: Observer,
        open_model: Callable[[Path], ConcurrentSession],
    ) -> None:
        self._model, self._tensors, self._observe = model, tuple(tensors), observe
        self._open = open_model
        self._plain: ConcurrentSession | None = open_model(model)
        self._fused: FusedProbe | None = None
        self._outputs: tuple[str, ...] = ()
        self._lock = threading.RLock()
        self._has_run = self._is_closed = False
        self.concurrency = self._plain.concurrency

    def run(self, feeds: Feeds) -> Feeds:
        """Run once, observing each of the tensors."""
        if not self._has_run:
            with self._lock:
                if not self._has_run:
                    return self._first_run(feeds)
        fused = self._fused
        if fused is None or not fused.takes(feeds) or not self._shows(fused, feeds):
            return self._plain_run(feeds)
        return _LaterOutputs(self._outputs, lambda: self._looked_at(feeds))

    def close(self) -> None:
        """Release the sessions' memory."""
        self._is_closed = True
        if self._fused is not None:
            self._fused.close()
            self._fused = None
        if self._plain is not None:
            self._plain.close()
            self._plain = None

    def _first_run(self, feeds: Feeds) -> Feeds:
        plain = self._opened()
        outputs = plain.run(feeds)
        values = {**feeds, **outputs}
        self._outputs = tuple(outputs)
        plain.close()  # two sessions would hold the weights twice; where it is needed, it is opened again
        self._plain = None
        self._fused = fused_probe(self._model, self._tensors, feeds, values)
        self._has_run = True
        show(self._tensors, values, self._observe)
        return outputs

    def _plain_run(self, feeds: Feeds) -> Feeds:
        outputs = self._opened().run(feeds)
        show(self._tensors, {**feeds, **outputs}, self._observe)
        return outputs

    def _shows(self, fused: FusedProbe, feeds: Feeds) -> bool:
        """Whether the fused probe could run. What fails once something was shown is raised: it counts."""
        shown = False

        def observe(tensor: str, *parts: NDArray[Any]) -> None:
            nonlocal shown
            shown = True
            self._observe(tensor, *parts)

        try:
            fused.run(feeds, observe)
        except Exception:
            if shown:
                raise
            self._fused = None  # the plain probe runs, or says what is wrong
            return False
        return True

    def _looked_at(self, feeds: Feeds) -> Feeds:
        self._fused = None
        return self._opened().run(feeds)

    def _opened(self) -> ConcurrentSession:
        with self._lock:
            if self._is_closed:
                raise RuntimeFailedError(f"the session of {self._model.name} is closed; open it again")
            if self._plain is None:
                self._plain = self._open(self._model)
            return self._plain


class _LaterOutputs(Mapping[str, Any]):
    """A run's outputs, computed when they are first looked at."""

    def __init__(self, names: Sequence[str], compute: Callable[[], Feeds]) -> None:
        self._names, self._compute = names, compute

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _values(self) -> Feeds:
        return self._compute()
