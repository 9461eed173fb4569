"""Pieces of work whose doing leaves traces, in files that all processes see."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import DataError


@dataclass(frozen=True)
class Squaring:
    number: int
    gpus: int = 0

    def __call__(self) -> int:
        return self.number**2


@dataclass(frozen=True)
class Refusing:
    gpus: int = 0

    def __call__(self) -> None:
        raise DataError("image 7 is torn; copy it again")


@dataclass(frozen=True)
class Buggy:
    gpus: int = 0

    def __call__(self) -> None:
        raise ZeroDivisionError("our own bug")


@dataclass(frozen=True)
class Dying:
    """Kills its process, as often as ``times`` says, and then is done."""

    folder: str
    times: int = 1
    gpus: int = 0

    def __call__(self) -> int:
        deaths = len(list(Path(self.folder).iterdir()))
        if deaths < self.times:
            (Path(self.folder) / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return deaths


@dataclass(frozen=True)
class Slow:
    """The first process that has one is a straggler: it takes ``seconds`` for each, all others none.

    Everybody waits for it to have begun, so that it holds something.
    """

    folder: str
    number: int
    seconds: float
    gpus: int = 0

    def __call__(self) -> int:
        straggler = Path(self.folder) / "straggler"
        try:
            with straggler.open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            pass
        if straggler.read_text() == str(os.getpid()):
            time.sleep(self.seconds)
        return os.getpid()


@dataclass(frozen=True)
class OnGpu:
    """Says which GPU it has and when it had it."""

    seconds: float
    gpus: int = 1

    def __call__(self) -> tuple[str, float, float]:
        begun = time.monotonic()
        time.sleep(self.seconds)
        return os.environ.get("CUDA_VISIBLE_DEVICES", ""), begun, time.monotonic()
