"""What changed between two caches."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from calibrant.targets.tensorrt.cache import TensorRTCache
from calibrant.targets.tensorrt.cache_diff import CacheDifference, difference

names = st.sampled_from("abcdefgh")
contents = st.dictionaries(names, st.floats(0, 100, width=32))


def between(before: dict[str, float], after: dict[str, float]) -> CacheDifference:
    header = "TRT-8501-MinMaxCalibration"
    return difference(TensorRTCache(header, before), TensorRTCache(header, after))


@given(contents, contents)
def test_every_tensor_is_told_once(before: dict[str, float], after: dict[str, float]) -> None:
    found = between(before, after)
    told = [*(change.tensor for change in found.changed), *found.only_before, *found.only_after]
    assert len(told) == len(set(told))
    assert len(told) + found.unchanged == len(before.keys() | after.keys())
    assert all(before[change.tensor] != after[change.tensor] for change in found.changed)
    assert found.is_empty == (before == after)


@given(contents, contents, st.floats(0, 10))
def test_the_largest_change_comes_first(
    before: dict[str, float], after: dict[str, float], threshold: float
) -> None:
    found = between(before, after)
    sizes = [abs(change.relative) for change in found.changed]
    assert sizes == sorted(sizes, reverse=True)
    assert found.changed[: len(found.beyond(threshold))] == found.beyond(threshold)


def test_a_change_is_relative_to_the_first_cache() -> None:
    found = between({"up": 1.0, "down": 2.0, "same": 3.0, "gone": 4.0}, {"up": 1.5, "down": 1.9, "same": 3.0})
    assert [change.tensor for change in found.changed] == ["up", "down"]
    assert found.changed[0].relative == 0.5
    assert math.isclose(found.changed[1].relative, -0.05)
    assert [change.tensor for change in found.beyond(0.06)] == ["up"]
    assert (found.only_before, found.only_after, found.unchanged) == (("gone",), (), 1)


def test_a_change_from_zero_exceeds_everything_and_stays_valid_json() -> None:
    found = between({"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 0.0})
    assert [change.tensor for change in found.beyond(1e30)] == ["x"]
    assert found.unchanged == 1
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["changed"][0]["relative"] is None
