"""A task that costs a worker process its life, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from toy import ToySample, ToyTask

from calibrant.core.types import Session


class Deadly(ToyTask):
    """The toy task, whose process is killed when ``sample`` is first driven."""

    def __init__(self, kernel: NDArray[np.float32], sample: str, mark: Path) -> None:
        super().__init__(kernel)
        self._sample, self._mark = sample, mark

    def drive(
        self, sessions: Mapping[str, Session], samples: Sequence[ToySample]
    ) -> list[NDArray[np.float32]]:
        if samples[0].id == self._sample and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().drive(sessions, samples)
