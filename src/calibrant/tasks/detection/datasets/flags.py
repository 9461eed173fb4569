"""Yes and no as label files write them: difficult, truncated, crowd."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_YES = frozenset({"1", "true", "yes"})
_NO = frozenset({"", "0", "false", "no", "none", "null", "unspecified"})


def flag(value: Any) -> bool | None:
    """Whether a flag is set; None where ``value`` is neither yes nor no.

    Numbers are 0 or 1, also as text ("1.0"); words are true, yes, false, no, none and unspecified.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().casefold()
        return True if word in _YES else False if word in _NO else _of_number(word)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _of_number(word: str) -> bool | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return bool(number) if number in (0, 1) else None


def flags(values: Sequence[Any]) -> list[bool | None]:
    """:func:`flag` of each value; fast for the plain 0 and 1 of large files."""
    if set(map(type, values)) <= {int, bool} and set(values) <= {0, 1}:
        return list(map(bool, values))
    return list(map(flag, values))


def remark_on_strange(name: str, strange: Iterable[tuple[Any, str]], total: int, taken_as: str) -> list[str]:
    """A warning about flags called ``name`` that are neither yes nor no: each value with where it stands."""
    found = list(strange)
    if not found:
        return []
    value, where = found[0]
    return [
        f"{len(found)} of {total} {name} flags are neither yes nor no, e.g. {value!r:.40} in {where!r}; "
        f"they count as {taken_as} (write 0 or 1)"
    ]
