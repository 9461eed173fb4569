"""How TensorRT's refusals are told to the host."""

from __future__ import annotations

from typing import Any


class TensorRTError(RuntimeError):
    """TensorRT refused; its own words are in the log."""


def require(owner: Any, name: str, remedy: str) -> None:
    """Raise TensorRTError where this version of TensorRT lacks what later or earlier ones have."""
    if not hasattr(owner, name):
        raise TensorRTError(f"this version has no {name}; {remedy}")
