"""Dataclasses from the JSON that they were written as, refused where a value is of another type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

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
    if get_origin(kind) in (UnionType, Union):
        return _of_any(get_args(kind), value, name)
    if kind is NoneType:
        return _checked((NoneType,), value, name)
    if is_dataclass(kind) and isinstance(kind, type):
        return built(kind, value)
    origin = get_origin(kind) or kind
    if origin is tuple:
        return _tuple_of(get_args(kind), _checked((list, tuple), value, name), name)
    if origin is Literal:
        if value in get_args(kind):
            return value
        raise TypeError(f"{name} is {value!r:.40}, none of {get_args(kind)}")
    if origin is float:
        return value if type(value) is int else _checked((float,), value, name)
    if origin in (str, int, bool):
        return _checked((origin,), value, name, exactly=True)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        keys, items = get_args(kind) or (Any, Any)
        return {
            _key(keys, key, name): checked_value(items, item, name)
            for key, item in _checked((Mapping,), value, name).items()
        }
    return value


def _tuple_of(kinds: tuple[Any, ...], items: Sequence[Any], name: str) -> tuple[Any, ...]:
    """``tuple[X, ...]``: any number of one kind; ``tuple[X, Y]``: one of each."""
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(checked_value(kinds[0], item, name) for item in items)
    if len(items) != len(kinds):
        raise TypeError(f"{name} has {len(items)} values, not {len(kinds)}")
    return tuple(checked_value(kind, item, name) for kind, item in zip(kinds, items, strict=True))


def _key(kind: Any, key: Any, name: str) -> Any:
    """JSON knows text as keys only."""
    if kind is not int or type(key) is int:
        return key
    try:
        return int(key)
    except ValueError as error:
        raise TypeError(f"{name} has the key {key!r:.40}, no int") from error


def _of_any(options: tuple[Any, ...], value: Any, name: str) -> Any:
    """The value as the first of a union's options that allows it.

    An option that takes the value as it stands goes before one that makes another of it: 1 is an ``int`` in
    ``float | int``, and text is never a number.
    """
    meant: Exception | None = None
    for option in sorted(options, key=lambda option: option is not type(value)):
        try:
            return checked_value(option, value, name)
        except (TypeError, KeyError) as error:
            if is_dataclass(option) and isinstance(value, Mapping):
                meant = error  # what is wrong inside says more than that nothing fits
    names = (getattr(option, "__name__", str(option)).removesuffix("Type") for option in options)
    raise meant or TypeError(f"{name} is {value!r:.40}, no {' or '.join(names)}")


def _checked(kinds: tuple[type, ...], value: Any, name: str, *, exactly: bool = False) -> Any:
    if type(value) in kinds or (not exactly and isinstance(value, kinds)):
        return value
    raise TypeError(f"{name} is {value!r:.40}, no {' or '.join(kind.__name__ for kind in kinds)}")
