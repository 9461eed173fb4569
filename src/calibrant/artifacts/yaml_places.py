"""Values of a YAML file together with where they stand, so that an error can name line and key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from calibrant.artifacts.yaml_files import read_yaml
from calibrant.core.errors import SettingsError
from calibrant.core.plain_yaml import MOST_BYTES
from calibrant.core.reading import read_text

_Keys: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, eq=False)
class Place:
    """A value in a YAML file. ``keys`` lead to it from the top."""

    file: Path
    lines: Mapping[_Keys, int]
    keys: _Keys
    value: Any

    def wrong(self, words: str) -> SettingsError:
        """An error about the value: file, line and key, then ``words``."""
        keys = self.keys
        while keys not in self.lines:
            keys = keys[:-1]
        named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).lstrip(".")
        where = f"{self.file.name}, line {self.lines[keys]}"
        return SettingsError(f"{where}: {named}: {words}" if named else f"{where}: {words}")

    def fields(self, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, Place]:
        """The values of a mapping by their keys. Raises SettingsError for an unknown and a missing key."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"{_shown(self.value)} is no mapping; its keys are {', '.join(known)}")
        places = {str(key): self._inner(str(key), value) for key, value in self.value.items()}
        for key, place in places.items():
            if key not in known:
                close = get_close_matches(key, known, 1)
                hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
                raise place.wrong(f"there is no such key; {hint}")
        missing = [key for key in required if key not in places]
        if missing:
            raise self.wrong(f"{missing[0]!r} is missing; needed: {', '.join(required)}")
        return places

    def items(self) -> tuple[Place, ...]:
        """The values of a list; one value alone is a list of one. Raises SettingsError for an empty list."""
        values = self.value if isinstance(self.value, list) else [self.value]
        if not values:
            raise self.wrong("the list is empty; name one at least, or leave the key out")
        return tuple(self._inner(index, value) for index, value in enumerate(values))

    def text(self) -> str:
        """A text that says something; a number stands for its digits. Raises SettingsError."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            raise self.wrong(f"{_shown(self.value)} is no text")
        if not str(self.value).strip():
            raise self.wrong("the text is empty; write what is meant, or leave the key out")
        return str(self.value)

    def count(self) -> int:
        """A whole number above 0. Raises SettingsError."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 1:
            raise self.wrong(f"{_shown(self.value)} is no whole number above 0; write e.g. 300")
        return self.value

    def of_kind(self, kind: type, example: str) -> Any:
        """A value of a type; whole numbers are floats, too. Raises SettingsError."""
        value = float(self.value) if kind is float and type(self.value) is int else self.value
        if type(value) is not kind:
            raise self.wrong(f"{_shown(self.value)} does not fit; write e.g. {example}")
        return value

    def _inner(self, key: str | int, value: Any) -> Place:
        return Place(self.file, self.lines, (*self.keys, key), value)


def read_places(path: Path) -> Place:
    """The whole of a YAML file. Raises DataError when it is missing, broken or holds no mapping."""
    content = read_yaml(path)
    root = yaml.compose(read_text(path, MOST_BYTES), Loader=yaml.SafeLoader)
    return Place(path, {(): 1, **dict(_lines(root, (), set()))}, (), content)


def _lines(node: yaml.Node | None, keys: _Keys, seen: set[int]) -> Iterator[tuple[_Keys, int]]:
    """Where each value stands; what an alias repeats is looked into once, as it may have no end."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*keys, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*keys, index), value.start_mark.line + 1
            yield from _lines(value, (*keys, index), seen)


def _shown(value: Any) -> str:
    """A value in few words."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
