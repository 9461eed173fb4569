"""A task that feeds what its samples hold, for tests of what looks at activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Task, sole
from calibrant.core.types import Session


@dataclass(frozen=True)
class Values:
    id: str
    array: NDArray[np.float32]


class Feeding(Task):
    """A task that runs the model ``times`` times on a sample, each time on twice as much."""

    name = "feeding"
    metric = Metric("none")

    def __init__(self, times: int = 1) -> None:
        self._times = times

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Values]) -> list[Any]:
        return [self._driven(sole(sessions), sample) for sample in samples]

    def _driven(self, session: Session, sample: Values) -> Any:
        return [session.run({"x": sample.array * np.float32(2**run)}) for run in range(self._times)]

    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        raise NotImplementedError

    def interpret(self, raw: Any, sample: Values) -> Any:
        return raw

    def score(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Score:
        raise NotImplementedError
