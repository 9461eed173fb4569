"""A repr that fits on a screen, for results that hold thousands of values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

_LONGEST_TEXT, _LONGEST = 60, 400


class ShortRepr:
    """A dataclass (``repr=False``) that shows its plain fields, and of the others how much they hold."""

    def __repr__(self) -> str:
        """The class with its fields, e.g. ``Diagnosis(losing='entropy2', tensors=(60 items))``."""
        told = ", ".join(f"{field.name}={_short(getattr(self, field.name))}" for field in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({told if len(told) <= _LONGEST else told[:_LONGEST] + ' …'})"


def _short(value: Any) -> str:
    if isinstance(value, str) or value is None or isinstance(value, int | float):
        text = repr(value)
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…'"
    if isinstance(value, Mapping):
        return f"{{{len(value)} entries}}"
    if isinstance(value, Collection):
        return f"({len(value)} items)"
    return f"{type(value).__name__}(…)"
