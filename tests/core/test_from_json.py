"""Dataclasses come back from their JSON, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.from_json import built


@dataclass(frozen=True)
class Inner:
    share: float
    count: int = 3


@dataclass(frozen=True)
class Outer:
    name: str
    parts: tuple[Inner, ...]
    best: Inner | None = None
    notes: Mapping[str, float] = field(default_factory=dict)
    anything: Any = None


RIGHT: dict[str, Any] = {
    "name": "a",
    "parts": [{"share": 0.5, "count": 1}],
    "best": None,
    "notes": {"x": 1.0},
}


@given(
    st.builds(
        Outer,
        name=st.text(),
        parts=st.lists(st.builds(Inner, st.floats(allow_nan=False), st.integers())).map(tuple),
        best=st.none() | st.builds(Inner, st.floats(allow_nan=False), st.integers()),
        notes=st.dictionaries(st.text(), st.floats(allow_nan=False)),
        anything=st.none() | st.booleans(),
    )
)
def test_what_was_written_is_read(value: Outer) -> None:
    assert built(Outer, json.loads(json.dumps(asdict(value)))) == value


def test_a_field_that_an_older_file_lacks_has_its_default() -> None:
    assert built(Outer, {"name": "a", "parts": [{"share": 1}]}) == Outer("a", (Inner(1),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 3}, "name is 3, no str"),
        ({"parts": {}}, "parts"),
        ({"parts": [3]}, "Inner is 3"),
        ({"parts": [{"share": "x"}]}, "share"),
        ({"parts": [{"share": True}]}, "share"),
        ({"parts": [{"share": 1.0, "count": 1.5}]}, "count"),
        ({"parts": [{"share": 1.0, "count": True}]}, "count"),
        ({"best": []}, "Inner"),
        ({"notes": [1]}, "notes"),
        ({"notes": {"x": "y"}}, "notes"),
    ],
)
def test_another_type_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        built(Outer, {**RIGHT, **change})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(KeyError, match="parts"):
        built(Outer, {"name": "a"})
    with pytest.raises(TypeError, match="Outer"):
        built(Outer, [1])


@dataclass(frozen=True)
class Mixed:
    evidence: Mapping[str, float | str]
    pair: tuple[str, float] = ("a", 1.0)
    by_step: Mapping[int, float] = field(default_factory=dict)
    number: float | int | None = None
    part: Inner | str | None = None
    kind: Literal["a", "b"] = "a"


@pytest.mark.parametrize(
    "value",
    [
        Mixed({"tensor": "conv1", "share": 0.5}),
        Mixed({}, ("b", 2.0), {3: 0.5}, 7, Inner(0.5), "b"),
        Mixed({}, number=0.5, part="text"),
    ],
)
def test_unions_pairs_and_keys_come_back_as_they_were(value: Mixed) -> None:
    found = built(Mixed, json.loads(json.dumps(asdict(value))))
    assert found == value
    assert type(found.number) is type(value.number)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evidence": {"tensor": None}}, "no float or str"),
        ({"evidence": {"tensor": True}}, "no float or str"),
        ({"pair": ["a"]}, "pair has 1 values, not 2"),
        ({"pair": [1.0, "a"]}, "pair is 1.0, no str"),
        ({"by_step": {"x": 1.0}}, "by_step has the key 'x', no int"),
        ({"number": "3"}, "number is '3', no float or int or None"),
        ({"part": {"share": "x"}}, "share is 'x', no float"),
        ({"kind": "c"}, "kind is 'c'"),
    ],
)
def test_what_no_option_of_a_union_allows_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        built(Mixed, {"evidence": {}, **change})
