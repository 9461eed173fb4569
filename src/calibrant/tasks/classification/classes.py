"""Which of the model's classes each class of a data set is."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from calibrant.core.errors import ClassMismatchError


def class_names(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """The names in an ONNX file's metadata: Ultralytics' ``names``, or PaddleClas's ``character``."""
    if "character" in metadata:
        return tuple(metadata["character"].splitlines())
    found: object = None
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        found = ast.literal_eval(metadata.get("names", ""))
    if isinstance(found, dict) and set(found) == set(range(len(found))):
        return tuple(str(found[index]) for index in range(len(found)))
    return None


def match_classes(labels: Sequence[str], count: int, names: Sequence[str] | None) -> tuple[int, ...]:
    """Give each class of the data set its index among the model's ``count`` classes.

    By name, where the model has names and all are among them; by number, where all labels are numbers of
    classes; by order, where the counts agree (torchvision and Ultralytics count folders by name).
    Raises ClassMismatchError otherwise.
    """
    known = {_plain(name): index for index, name in enumerate(names or ())}
    if names and len(known) == len(names) == count and all(_plain(label) in known for label in labels):
        return tuple(known[_plain(label)] for label in labels)
    if all(label.isdecimal() and int(label) < count for label in labels):
        return tuple(int(label) for label in labels)
    if len(labels) == count:
        return tuple(range(count))
    strange = next((label for label in labels if _plain(label) not in known), labels[0])
    where = "is none of the model's names" if names else "cannot be told apart, as the model has no names"
    raise ClassMismatchError(
        f"the model has {count} classes and the labels {len(labels)}, and e.g. {strange!r} {where}; "
        "list the model's classes in a file for --classes"
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()
