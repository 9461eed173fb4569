"""What follows a runtime's name: ``name[:key=value[,key=value]]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from calibrant.core.errors import SettingsError


def parsed(specification: str) -> tuple[str, dict[str, str]]:
    """Split ``tensorrt:python=/opt/py,precision=fp16`` into its name and its options.

    Raises SettingsError.
    """
    name, _, rest = specification.partition(":")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not (key and equals and value):
            raise SettingsError(f"{part!r} in --runtime {specification} is not key=value, e.g. timeout=600")
        if key in options:
            raise SettingsError(f"{key!r} stands twice in --runtime {specification}; give it once")
        options[key] = value
    return name, options


def converted(
    runtime: str, options: Mapping[str, str], known: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """Options as the values that ``known`` makes of them. Raises SettingsError."""
    values = {}
    for key, text in options.items():
        if key not in known:
            raise SettingsError(f"runtime {runtime} has no option {key!r}; known: {', '.join(known)}")
        try:
            values[key] = known[key](text)
        except ValueError as error:
            raise SettingsError(f"{text!r} does not fit runtime {runtime}'s {key}: {error}") from None
    return values


def one_of(*names: str) -> Callable[[str], str]:
    """A converter that takes one of ``names``."""

    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"use {' or '.join(names)}")
        return text

    return convert
