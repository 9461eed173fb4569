"""A cache as JSON: exact, and not fooled by an edit in one place only."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.targets.tensorrt.cache import TensorRTCache, dumps, loads
from calibrant.targets.tensorrt.cache_json import from_json, to_json

HEADER = "TRT-8501-EntropyCalibration2"
names = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)
scales = st.floats(0, float(np.finfo(np.float32).max), width=32)


@given(st.dictionaries(names, scales))
def test_there_and_back_is_byte_exact(content: dict[str, float]) -> None:
    text = dumps(TensorRTCache(HEADER, content))
    through = json.loads(json.dumps(to_json(loads(text))))
    assert dumps(from_json(through)) == text


def test_what_stands_in_it() -> None:
    assert to_json(loads(f"{HEADER}\na: b: 3c010a14\n")) == {
        "format": "calibrant.tensorrt-cache",
        "version": 1,
        "header": HEADER,
        "algorithm": "entropy2",
        "tensorrt": "8.5.1",
        "tensors": {
            "a: b": {"scale": 0.007875937968492508, "threshold": 1.0002441219985485, "hex": "3c010a14"}
        },
    }
    assert to_json(loads("0 3ff0000000000000 3fefff2e48e8a71e\n"))["tensorrt"] is None


def described(**entry: Any) -> dict[str, Any]:
    return {**to_json(TensorRTCache(HEADER, {})), "tensors": {"x": entry}}


@pytest.mark.parametrize("entry", [{"scale": 0.5}, {"hex": "3f000000"}, {"scale": 0.5, "threshold": 63.5}])
def test_one_of_hex_and_scale_is_enough(entry: dict[str, Any]) -> None:
    assert from_json(described(**entry)).scales == {"x": 0.5}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"hex": "3f000000", "scale": 0.25}, "scale is 0.25, but .* scale 0.5, threshold 63.5"),
        ({"hex": "3f000000", "threshold": 64}, "threshold is 64, but"),
        ({"scale": 0.5, "threshold": 1}, "threshold is 1, but"),
        ({"threshold": 1}, "neither hex nor scale"),
        ({"scale": "0.5"}, "scale is 0.5, no number"),
        ({"scale": True}, "scale is True, no number"),
        ({"scale": 1e39}, "no finite positive number"),
        ({"scale": 10**400}, "no number that a float32 can hold"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"scale": -1}, "no finite positive number"),
        ({"hex": "7fc00000"}, "no finite positive number"),
        ({"hex": "0x3f"}, "'0x3f' is no scale in hex"),
        ({"hex": 5.5}, "'5.5' is no scale in hex"),
    ],
)
def test_what_disagrees_or_does_not_fit_is_refused(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as refusal:
        from_json(described(**entry))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "is no cache in JSON"),
        ({"header": HEADER, "tensors": {}}, "is no cache in JSON"),
        ({**described(), "version": 2}, "has schema version 2, not 1"),
        ({**described(), "header": "TRT-1"}, "is no TensorRT calibration cache"),
        ({**described(), "header": None}, "lacks 'header' or 'tensors'"),
        ({**described(), "tensors": []}, "lacks 'header' or 'tensors'"),
        ({**described(), "tensors": {"x": 0.5}}, "neither hex nor scale"),
        ({**described(), "tensors": {"a\nb": {"scale": 1}}}, "does not fit on a cache line"),
    ],
)
def test_other_json_is_refused(content: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_json(content)
