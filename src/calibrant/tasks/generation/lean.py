"""Lean 4 statements, compared up to names of bound variables, spaces, notation and how binders are written.

``theorem a (x : ℝ) (h : x > 0) : P x`` and ``example : ∀ y : ℝ, y > 0 → P y`` are one statement: names go,
binders become quantifiers, and what is bound and never used becomes the left side of an arrow (both are the
same type in Lean). It is syntax only: a comparison that is turned around, or a sum whose parts are swapped,
is another statement here. Whether one follows from the other is for a program with Lean in it
(``--checker``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

_FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_COMMENTS = re.compile(r"/-.*?-/|--[^\n]*", re.DOTALL)
_TOKEN = re.compile(
    r"λ|[^\W\d][\w'!?]*(?:\.[^\W\d][\w'!?]*)*|\d+(?:\.\d+)?|:=|<->|->|=>|<=|>=|!=|/\\|\\/|∃!|\S"
)
_NOTATION = {
    "->": "→", "<->": "↔", "=>": "↦", "<=": "≤", ">=": "≥", "!=": "≠", "/\\": "∧", "\\/": "∨", "fun": "λ",
    "forall": "∀", "exists": "∃", "Not": "¬", "Nat": "ℕ", "Int": "ℤ", "Rat": "ℚ", "Real": "ℝ", "Complex": "ℂ",
}  # fmt: skip
_CLOSING = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⦃": "⦄"}
_BINDING = {"∀", "∃", "∃!", "λ", "∑", "∏", "∫", "⋃", "⋂"}
_DECLARES = {"theorem", "lemma", "example"}
_LOOSE = {"→", "↔", "∀", "∃", "∃!", "λ", ",", ":"}
_NAME = re.compile(r"[^\W\d][\w'!?.]*|_")

_Item: TypeAlias = "str | _Group"
_Scope: TypeAlias = Mapping[str, str]


def same_statement(text: str, answer: str) -> bool:
    """Whether two texts state the same in Lean, by their last block of code or as a whole."""
    found, wanted = canonical(text), canonical(answer)
    return bool(wanted) and found == wanted


def canonical(text: str) -> tuple[str, ...]:
    """The tokens of a statement without anything that does not matter; empty where brackets do not match."""
    blocks = _FENCED.findall(text)
    source = _COMMENTS.sub(" ", blocks[-1] if blocks else text)
    try:
        items = _grouped(iter([_NOTATION.get(token, token) for token in _TOKEN.findall(source)]), None)
    except ValueError:
        return ()
    return _renumbered(_Writer().expression(_proposition(items), {}))


@dataclass(frozen=True)
class _Group:
    """What stands in brackets."""

    opening: str
    items: tuple[_Item, ...]


def _grouped(tokens: Iterator[str], closing: str | None) -> list[_Item]:
    """Raises ValueError for brackets that do not match."""
    items: list[_Item] = []
    for token in tokens:
        if token == closing:
            return items
        if token in _CLOSING:
            items.append(_Group(token, tuple(_grouped(tokens, _CLOSING[token]))))
        elif token in _CLOSING.values():
            raise ValueError(token)
        else:
            items.append(token)
    if closing is not None:
        raise ValueError(closing)
    return items


def _proposition(items: Sequence[_Item]) -> Sequence[_Item]:
    """What a declaration states, with its binders as a quantifier; all items where nothing is declared."""
    start = next((index for index, item in enumerate(items) if item in _DECLARES), None)
    if start is None:
        return items
    rest = items[start + (1 if items[start] == "example" else 2) :]
    ends = (index for index, item in enumerate(rest) if item in (":=", "by", *_DECLARES))
    rest = rest[: next(ends, len(rest))]
    colon = next((index for index, item in enumerate(rest) if item == ":"), len(rest))
    binders, stated = rest[:colon], rest[colon + 1 :]
    return ["∀", *binders, ",", *stated] if binders else stated


@dataclass(frozen=True)
class _Binder:
    """Variables of one type, or that one relation holds for; names may be empty: an instance."""

    names: tuple[str, ...]
    type: tuple[_Item, ...] = ()
    relation: tuple[_Item, ...] = ()


class _Writer:
    """Writes expressions with a number for every bound variable."""

    def __init__(self) -> None:
        self._numbers = count()

    def expression(self, items: Sequence[_Item], scope: _Scope) -> list[str]:
        """The tokens of an expression."""
        while len(items) == 1 and isinstance(items[0], _Group) and items[0].opening == "(":
            items = items[0].items
        written: list[str] = []
        for index, item in enumerate(items):
            if isinstance(item, str) and item in _BINDING:
                return written + self._quantified(item, items[index + 1 :], scope)
            following = items[index + 1] if index + 1 < len(items) else None
            written += self._item(item, scope, bool(written) and written[-1] not in ("→", "↔"), following)
        return written

    def _item(self, item: _Item, scope: _Scope, is_inside: bool, following: _Item | None) -> list[str]:
        if isinstance(item, str):
            head, dot, field = item.partition(".")
            return [scope.get(head, head) + dot + field]
        if item.opening == "{" and "|" in item.items:
            bar = item.items.index("|")
            return ["{", *self._bound("|", _binders(item.items[:bar]), item.items[bar + 1 :], scope), "}"]
        inner = self.expression(item.items, scope)
        is_plain = item.opening == "(" and (len(inner) == 1 or not _LOOSE & set(_outside(inner)))
        if is_plain and (len(inner) == 1 or (not is_inside and following in (None, "→", "↔"))):
            return inner
        return [item.opening, *inner, _CLOSING[item.opening]]

    def _quantified(self, kind: str, items: Sequence[_Item], scope: _Scope) -> list[str]:
        end = next((index for index, item in enumerate(items) if item in (",", "↦")), len(items))
        return self._bound(kind, _binders(items[:end]), items[end + 1 :], scope)

    def _bound(
        self, kind: str, binders: Sequence[_Binder], body: Sequence[_Item], scope: _Scope
    ) -> list[str]:
        if not binders:
            return self.expression(body, scope)
        (first, *others), inner = binders, dict(scope)
        type_ = self.expression(first.type, scope)
        numbers = {name: f"#{next(self._numbers)}" for name in first.names or ("_",)}
        inner.update(numbers)
        written = self._bound(kind, others, body, inner)
        for name in reversed(first.names):
            if first.relation:
                related = [numbers[name], *self.expression(first.relation, scope)]
                written = _joined(related, "→" if kind == "∀" else "∧", written)
        for number in reversed(numbers.values()):
            if kind == "∀" and number not in {token.partition(".")[0] for token in written}:
                written = _joined(type_, "→", written)
            else:
                written = [kind, number, *([":", *type_] if type_ else []), ",", *written]
        return written


def _binders(items: Sequence[_Item]) -> list[_Binder]:
    """The variables of ``(x y : T) [C] z``, ``x y : T`` and ``x ∈ S``, group by group."""
    found: list[_Binder] = []
    names: list[str] = []
    for index, item in enumerate(items):
        if isinstance(item, _Group):
            found += [_Binder((name,)) for name in names]
            names = []
            colon = item.items.index(":") if ":" in item.items else None
            if colon is None:
                found.append(_Binder((), item.items))
            else:
                found.append(_Binder(tuple(map(str, item.items[:colon])), item.items[colon + 1 :]))
        elif item == ":":
            return [*found, _Binder(tuple(names), tuple(items[index + 1 :]))]
        elif _NAME.fullmatch(item) and item != "in":
            names.append(item)
        else:
            relation = ("∈" if item == "in" else item, *items[index + 1 :])
            return [*found, _Binder(tuple(names), relation=relation)]
    return [*found, *(_Binder((name,)) for name in names)]


def _joined(left: Sequence[str], sign: str, right: Sequence[str]) -> list[str]:
    """``left sign right`` with the brackets that it needs."""
    loose = {"→", "↔"} if sign == "∧" else {"↔"}
    before = ["(", *left, ")"] if {"→", "↔", "∀", "∃", "∃!", "λ"} & set(_outside(left)) else left
    after = ["(", *right, ")"] if loose & set(_outside(right)) else right
    return [*before, sign, *after]


def _outside(tokens: Sequence[str]) -> Iterator[str]:
    """Tokens that stand in no brackets, up to the first quantifier, whose body reaches to the end."""
    depth = 0
    for token in tokens:
        depth -= token in _CLOSING.values()
        if depth == 0:
            yield token
            if token in _BINDING:
                return
        depth += token in _CLOSING


def _renumbered(tokens: Sequence[str]) -> tuple[str, ...]:
    """Bound variables numbered in the order in which they are met."""
    numbers: dict[str, str] = {}
    renamed = []
    for token in tokens:
        head, dot, field = token.partition(".")
        if head.startswith("#"):
            head = numbers.setdefault(head, f"#{len(numbers)}")
        renamed.append(head + dot + field)
    return tuple(renamed)
