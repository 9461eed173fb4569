"""Dataclasses from the JSON that they were written as, refused where a value is of another type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def built(kind: type[T], content: Any) -> T:
    """A dataclass from the mapping that ``asdict`` made of it; a field without a value takes its default.

    Raises KeyError for one that has none, and TypeError for a value that its annotation does not allow.
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{kind.__name__} is {content!r:.40}")
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in content:
            values[field.name] = checked_value(hints[field.name], content[field.name], field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise KeyError(field.name)
    return kind(**values)


def checked_value(kind: Any, value: Any, name: str) -> Any:
    """A JSON value as the type that a field of this name is annotated with. Raises as built."""
    if get_origin(kind) is UnionType:
        if value is None:
            return None
        kind = next(option for option in get_args(kind) if option is not NoneType)
    if is_dataclass(kind) and isinstance(kind, type):
        return built(kind, value)
    origin = get_origin(kind) or kind
    if origin is tuple:
        return tuple(
            checked_value(get_args(kind)[0], item, name) for item in _checked((list, tuple), value, name)
        )
    if origin is float:
        return value if type(value) is int else _checked((float,), value, name)
    if origin in (str, int, bool):
        return _checked((origin,), value, name, exactly=True)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        items = get_args(kind)[1] if get_args(kind) else Any
        return {
            key: checked_value(items, item, name) for key, item in _checked((Mapping,), value, name).items()
        }
    return value


def _checked(kinds: tuple[type, ...], value: Any, name: str, *, exactly: bool = False) -> Any:
    if type(value) in kinds or (not exactly and isinstance(value, kinds)):
        return value
    raise TypeError(f"{name} is {value!r:.40}, no {' or '.join(kind.__name__ for kind in kinds)}")
