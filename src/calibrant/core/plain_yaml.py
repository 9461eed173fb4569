"""YAML from anybody: plain values, and no more of them than a file of settings has any use for.

A few lines of aliases that hold aliases ("billion laughs") stand for more values than any memory takes.
They are counted before any value is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yaml import Node

MOST_CHARACTERS = 4 * 2**20
MOST_BYTES = 4 * MOST_CHARACTERS
"""Of a file in UTF-8."""

MOST_VALUES = 200_000
_LONGEST_NUMBER = 64
_LONGEST_WORDS = 200


def parsed_yaml(text: str) -> Any:
    """The one document in ``text``: mappings, lists, text, numbers, dates, nothing that could run.

    Raises ValueError, in one line, for what is no YAML, is too large, or grows too large by its aliases.
    """
    import yaml

    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters, and settings have at most {MOST_CHARACTERS}")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _values_in(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    # A hostile tag makes PyYAML's constructors raise anything.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(" ".join(str(error).split())[:_LONGEST_WORDS] or type(error).__name__) from error


def _values_in(node: Node, known: dict[int, int]) -> int:
    """How many values a node stands for, each alias counted in full; known: of nodes looked at before."""
    count = known.get(id(node))
    if count == 0:
        raise ValueError("an alias holds itself")
    if count is None:
        known[id(node)] = 0
        count = 1 + sum(_values_in(child, known) for child in _children(node))
        if count > MOST_VALUES:
            raise ValueError(f"its aliases stand for more than {MOST_VALUES} values")
        known[id(node)] = count
    return count


def _children(node: Node) -> list[Node]:
    if isinstance(node.value, str):
        if node.tag == "tag:yaml.org,2002:int" and len(node.value) > _LONGEST_NUMBER:
            raise ValueError(f"a number of {len(node.value)} characters")
        return []
    return [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
