"""What a worker process sends back: a result, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from calibrant.core.errors import CalibrantError, RuntimeFailedError
from calibrant.core.executor import ATTEMPTS, Work


@dataclass(frozen=True)
class Answer:
    """A piece of work's result, or the error that ended it."""

    value: Any = None
    error: CalibrantError | None = None

    def unwrap(self) -> Any:
        """The result. Raises the error."""
        if self.error is not None:
            raise self.error
        return self.value


def answer_of(work: Work) -> Answer:
    """Do a piece of work, in a worker process. An error that is nobody's to mend is raised as it is."""
    try:
        return Answer(work())
    except CalibrantError as error:
        return Answer(error=error)


def worker_lost(reason: str) -> RuntimeFailedError:
    """The error where every process that began a piece of work died."""
    return RuntimeFailedError(
        f"{ATTEMPTS} worker processes died of the same piece of work, the last of {reason}; it may need more "
        "memory than there is: have fewer workers, e.g. --executor local:1"
    )
