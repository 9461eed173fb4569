"""Every result that is written as JSON is read again as it was."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calibrant.core.from_json import built
from calibrant.core.types import Latency
from calibrant.studies.coverage.result import CoverageResult
from calibrant.studies.diagnosis.result import Diagnosis
from calibrant.studies.optimization.result import OptimizationResult
from calibrant.studies.plan import StudySettings
from calibrant.studies.result import StudyResult
from calibrant.studies.sweep.result import SweepResult

RESULTS = (StudyResult, Diagnosis, CoverageResult, OptimizationResult, SweepResult, Latency)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=5),
    int: st.integers(),
    bool: st.booleans(),
    float: _FLOATS,
    type(None): st.none(),
    Any: st.none() | st.booleans() | st.text(max_size=3),
    object: st.none() | st.integers(),
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation allows."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin in (types.UnionType, Union):
        return st.one_of([values_of(option) for option in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return st.lists(st.deferred(lambda: values_of(arguments[0])), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        keys, items = arguments or (str, Any)
        return st.dictionaries(values_of(keys), values_of(items), max_size=2)
    assert is_dataclass(kind), kind
    assert isinstance(kind, type)
    hints = get_type_hints(kind)
    return st.builds(
        kind, **{field.name: values_of(hints[field.name]) for field in fields(kind) if field.init}
    )


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_it_comes_back(kind: type[Any]) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(values_of(kind))
    def comes_back(value: Any) -> None:
        assert built(kind, json.loads(json.dumps(asdict(value)))) == value

    comes_back()


def test_settings_come_back() -> None:
    asked = StudySettings(runtime="openvino", exclude=("a", "b"), race_error=None, input_shape=(64, 64))
    assert built(StudySettings, json.loads(json.dumps(asked.to_dict()))) == asked
