"""What a worker process sends back: a result, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from socket import gethostname
from typing import Any

from calibrant.core.errors import CalibrantError, RuntimeFailedError, SettingsError
from calibrant.core.executor import ATTEMPTS, Work

_PACKAGES = (
    "calibrant",
    "hotcoco",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "openvino",
    "pillow",
)


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


def answer_of(work: Work, expected: Mapping[str, str]) -> Answer:
    """Do a piece of work, in a worker process. An error that is nobody's to mend is raised as it is.

    expected: the versions that it is to be done with.
    """
    try:
        _require(expected)
        return Answer(work())
    except CalibrantError as error:
        return Answer(error=error)


@cache
def versions() -> Mapping[str, str]:
    """The installed packages whose versions may change a figure."""
    found = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _require(expected: Mapping[str, str]) -> None:
    own = versions()
    for package in _PACKAGES:
        here, there = own.get(package, "none"), expected.get(package, "none")
        if here != there:
            raise SettingsError(
                f"machine {gethostname()} has {package} {here} and the one that began the study {there}; "
                "install the same versions on all machines"
            )


def worker_lost(reason: str) -> RuntimeFailedError:
    """The error where every process that began a piece of work died."""
    return RuntimeFailedError(
        f"{ATTEMPTS} worker processes died of the same piece of work, the last of {reason}; it may need more "
        "memory than there is: have fewer workers, e.g. --executor local:1"
    )
