"""Headers of .npy files, held against numpy's own reader."""

from __future__ import annotations

import ast
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from calibrant.core import npy
from calibrant.core.npy import read_array, read_header

KINDS = npst.scalar_dtypes() | npst.unicode_string_dtypes() | npst.byte_string_dtypes()


def content_of(array: NDArray[Any], version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=True)
    return stream.getvalue()


def with_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@given(
    npst.arrays(KINDS, npst.array_shapes(min_dims=0, min_side=0)),
    st.sampled_from([(1, 0), (2, 0), (3, 0)]),
    st.booleans(),
)
def test_arrays_are_those_that_numpy_wrote(
    array: NDArray[Any], version: tuple[int, int], in_columns: bool
) -> None:
    array = np.asfortranarray(array) if in_columns else array
    read = read_array(io.BytesIO(content_of(array, version)))
    assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert read.flags.writeable


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'shape': (2L, 3L), 'fortran_order': False, 'descr': '<f4'}",
        "{ 'fortran_order' :False,'descr':'<f4','shape':(2,3)}  \n",
    ],
)
def test_headers_of_other_writers_are_read(text: str) -> None:
    assert read_header(io.BytesIO(with_header(text))) == npy.NpyHeader((2, 3), False, np.dtype("<f4"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04......", "does not begin as"),
        (b"\x93NUMPY\x09\x00\x00\x00", "version is 9.0"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "10000 is the limit"),
        (content_of(np.arange(9.0))[:-1], "cut off"),
        (content_of(np.arange(9.0))[:30], "cut off"),
        (content_of(np.array([{}], dtype=object)), "Python objects"),
        (content_of(np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")])), "several fields"),
        (with_header("{'descr': '<z4', 'fortran_order': False, 'shape': (1,), }"), "no type"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'descr': '<f4'}"), "not that of an array"),
        (with_header("{'descr': '<f4', 'fortran_order': (), 'shape': (1,), }"), "not that of an array"),
        (with_header("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}"), "not that of"),
        (with_header("(" * 5000), "not that of an array"),
    ],
)
def test_what_is_no_array_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_array(io.BytesIO(content))


def test_pythons_parser_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads that parse at once end in a SystemError in Python 3.11."""

    def refuse(*_: object, **__: object) -> None:
        raise SystemError("AST constructor recursion depth mismatch")

    monkeypatch.setattr(ast, "parse", refuse)
    contents = [content_of(np.arange(size)) for size in range(50)]
    with ThreadPoolExecutor(4) as pool:
        assert [len(each) for each in pool.map(lambda each: read_array(io.BytesIO(each)), contents)] == [
            *range(50)
        ]
