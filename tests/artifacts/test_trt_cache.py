from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calibrant.artifacts.trt_cache import TensorRTCache, dumps, header_for, loads
from calibrant.core.errors import DataError, SettingsError

names = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), min_size=1)
scales = st.floats(0, float(np.finfo(np.float32).max), width=32)
HEADER = "TRT-8501-EntropyCalibration2"


@given(st.dictionaries(names, scales), st.booleans())
@example({"a: b: 3f800000": 1.0}, True)
def test_what_is_written_is_read_back(content: dict[str, float], crlf: bool) -> None:
    text = dumps(TensorRTCache(HEADER, content))
    again = loads(text.replace("\n", "\r\n") if crlf else text)
    assert again == TensorRTCache(HEADER, content)
    assert list(again.scales) == list(content)


def test_the_hex_is_a_big_endian_float_without_padding() -> None:
    assert dumps(TensorRTCache(HEADER, {"x": 1.000244140625 / 127})) == f"{HEADER}\nx: 3c010a14\n"
    assert loads(f"{HEADER}\nx: 1\n").scales["x"] == pytest.approx(1e-45, rel=0.5)
    assert dumps(TensorRTCache(HEADER, {"x": 0.0})).endswith("x: 0\n")


@pytest.mark.parametrize(
    ("algorithm", "version", "header"),
    [
        ("minmax", (8, 5, 1), "TRT-8501-MinMaxCalibration"),
        ("entropy2", (8, 5, 1), "TRT-8501-EntropyCalibration2"),
        ("entropy", (8, 6, 0), "TRT-8600-EntropyCalibration"),
        ("entropy2", (10, 3, 0), "TRT-100300-EntropyCalibration2"),
        ("legacy", (8, 5, 1), "0 3ff0000000000000 3fefff2e48e8a71e"),
    ],
)
def test_headers_are_tensorrts(algorithm: str, version: tuple[int, int, int], header: str) -> None:
    assert header_for(algorithm, version) == header
    assert loads(f"{header}\n").header == header


def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(SettingsError, match="no calibrator 'magic'"):
        header_for("magic")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no TensorRT calibration cache"),
        ("hello\nx: 1\n", "is no TensorRT calibration cache"),
        (f"{HEADER}\nno separator\n", "line 2.*is not 'name: hex scale'"),
        (f"{HEADER}\nx: 3c01zz\n", "line 2.*is not 'name: hex scale'"),
        (f"{HEADER}\nx: \n", "line 2"),
        (f"{HEADER}\nx: 123456789\n", "line 2"),
        (f"{HEADER}\nx: 1\ny: 2\nx: 3\n", "line 4: 'x' appears twice"),
        (f"{HEADER}\nx: 7f800000\n", "no finite positive"),
        (f"{HEADER}\nx: 7fc00000\n", "no finite positive"),
        (f"{HEADER}\nx: bf800000\n", "no finite positive"),
    ],
)
def test_broken_caches_say_where(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        loads(text)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for candidate in (text, f"{HEADER}\n{text}"):
        with suppress(DataError):
            assert loads(candidate).header == candidate.replace("\r\n", "\n").split("\n")[0]


@pytest.mark.parametrize("name", ["", "two\nlines", "a\rb"])
def test_names_that_do_not_fit_a_line_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="does not fit"):
        dumps(TensorRTCache(HEADER, {name: 1.0}))


@pytest.mark.shared
def test_tensorrts_own_caches_come_back_byte_for_byte(shared: Path) -> None:
    caches = sorted((shared / "tensorrt" / "caches-8.5.1.7").glob("*.cache"))
    assert len(caches) >= 9
    for path in caches:
        text = path.read_text()
        assert dumps(loads(text, path.name)) == text
