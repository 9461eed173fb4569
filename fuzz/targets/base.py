"""What all targets have in common: a place for files, what counts as refused, and mutations of documents."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from calibrant.core.errors import CalibrantError

_LONGEST_REFUSAL = 1300

# What a hostile writer would put in the place of any value.
HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), float("-inf"), "", "\0", "\n", "../../etc/passwd", "/etc/passwd", "C:\\x", "<script>",
    "\x1b[31m", "\ud800", "a" * 5000, [], [[]], {}, {"": None}, [None] * 100,
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A parser: ``check`` reads bytes in the way files are read, and raises where that goes wrong.

    seeds: inputs that are right, to start from.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@contextmanager
def refusals() -> Iterator[None]:
    """Let pass what a user would see as one line; anything else is a finding."""
    try:
        yield
    except CalibrantError as error:
        words = str(error)
        if not 0 < len(words) <= _LONGEST_REFUSAL or "\n" in words:
            raise AssertionError(f"a refusal of {len(words)} characters: {words[:200]!r}") from error


@cache
def scratch(name: str) -> Path:
    """A folder of this process for a target's files, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-", dir=memory if memory.is_dir() else None)
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


class Choices:
    """Decisions read off bytes, so that a fuzzer steers them; 0 when there are no more."""

    def __init__(self, content: bytes) -> None:
        self._content = iter(content)

    def below(self, count: int) -> int:
        """A number from 0 to ``count`` - 1."""
        number = next(self._content, 0)
        if count > 256:
            number = number << 8 | next(self._content, 0)
        return number % count


def document(content: bytes, right: Any) -> bytes:
    """JSON to be read: the bytes themselves, or after a first byte of 1, ``right`` with changes."""
    if content[:1] != b"\x01":
        return content
    choices = Choices(content[1:])
    changed = json.loads(json.dumps(right))
    for _ in range(1 + choices.below(4)):
        changed = _changed(changed, choices)
    return json.dumps(changed).encode("utf-8", "replace")


def _changed(value: Any, choices: Choices) -> Any:
    """``value`` with something in it replaced, removed, doubled or renamed."""
    keys: list[Any] = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if _is(value) else []
    )
    action = choices.below(8)
    if not keys or action == 7:
        return copy.deepcopy(HOSTILE[choices.below(len(HOSTILE))])
    key = keys[choices.below(len(keys))]
    if action == 6:
        del value[key]
    elif action == 5 and isinstance(value, list):
        value.append(copy.deepcopy(value[key]))
    elif action == 5:
        value[str(HOSTILE[choices.below(len(HOSTILE))])[:5000]] = value.pop(key)
    else:
        value[key] = _changed(value[key], choices)
    return value


def _is(value: Any) -> bool:
    return isinstance(value, list)


def spliced(content: bytes, right: bytes) -> bytes:
    """Bytes to be read: as they are, or after a first byte of 1, ``right`` with bytes of it replaced."""
    if content[:1] != b"\x01":
        return content
    changed, choices = bytearray(right), Choices(content[1:])
    for _ in range(1 + choices.below(8)):
        position = choices.below(max(1, len(changed)))
        action, value = choices.below(4), choices.below(256)
        if action == 0:
            changed[position : position + 1] = bytes([value])
        elif action == 1:
            changed[position:position] = bytes([value] * (1 + choices.below(8)))
        elif action == 2:
            del changed[position : position + 1 + value % 16]
        else:
            del changed[position if value == 0 else len(changed) :]
    return bytes(changed)
