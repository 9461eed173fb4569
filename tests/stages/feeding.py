"""A task that feeds what its samples hold, for tests of what looks at activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import Score, Session


@dataclass(frozen=True)
class Values:
    id: str
    array: NDArray[np.float32]


class Feeding:
    """A task that runs the model ``times`` times on a sample, each time on twice as much."""

    name = "feeding"

    def __init__(self, times: int = 1) -> None:
        self._times = times

    def drive(self, session: Session, sample: Values) -> Any:
        return [session.run({"x": sample.array * np.float32(2**run)}) for run in range(self._times)]

    def interpret(self, raw: Any, sample: Values) -> Any:
        return raw

    def score(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Score:
        raise NotImplementedError
