"""Arrays in files: never pickled objects, never more than a run has use for."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from calibrant.artifacts import arrays
from calibrant.artifacts.arrays import packed, read_arrays, unpacked
from calibrant.artifacts.statistics import arrays_of, statistics_from
from calibrant.core.errors import DataError
from calibrant.core.statistics import statistics_of
from calibrant.core.types import Statistics

TABLE = arrays_of(Statistics("0", ("a",), {"t": statistics_of(np.arange(-3, 9, dtype=np.float32))}))


def test_objects_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        unpacked(stream.getvalue())
    (tmp_path / "a.npz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="run the study again"):
        read_arrays(tmp_path / "a.npz")


def test_what_grows_when_it_is_unpacked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed({"zeros": np.zeros(1_000_000)})
    assert len(content) < 50_000
    monkeypatch.setattr(arrays, "LARGEST", 1_000_000)
    with pytest.raises(ValueError, match="bytes when unpacked, and the limit is 1000000"):
        unpacked(content)


def _spoiled(name: str, change: Callable[[Any], Any]) -> dict[str, Any]:
    return {**TABLE, name: change(TABLE[name].copy())}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("counts", lambda counts: -counts),
        ("counts", lambda counts: counts[:, :5]),
        ("counts", lambda counts: counts * 2**62),
        ("limits", lambda limits: limits * np.nan),
        ("limits", lambda limits: limits * 0),
        ("anchors", lambda anchors: -anchors),
        ("highs", lambda highs: highs * np.inf),
        ("names", lambda names: names[:0]),
        ("schema_version", lambda _: np.array("x")),
    ],
)
def test_statistics_that_no_values_give_are_refused(name: str, change: Callable[[Any], Any]) -> None:
    assert statistics_from(TABLE).tensors["t"].count == 12
    with pytest.raises(ValueError, match=r"."):
        statistics_from(_spoiled(name, change))


def contents_of(some: Mapping[str, NDArray[Any]]) -> dict[str, tuple[np.dtype[Any], Any, bytes]]:
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in some.items()}


NAMES = st.text("abc_", min_size=1) | st.just("file")
KINDS = npst.scalar_dtypes() | npst.unicode_string_dtypes()


@given(st.dictionaries(NAMES, npst.arrays(KINDS, npst.array_shapes(min_dims=0)), max_size=3))
def test_arrays_come_back_as_they_were(some: dict[str, NDArray[Any]]) -> None:
    assert contents_of(unpacked(packed(some))) == contents_of(some)


def test_files_that_numpy_packed_are_read() -> None:
    """Earlier versions left it to numpy."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **TABLE)
    assert contents_of(unpacked(content.getvalue())) == contents_of(TABLE)


def test_objects_are_not_written() -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        packed({"a": np.array([{"x": 1}], dtype=object)})
