from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calibrant.core.errors import DataError, SettingsError
from calibrant.targets.tensorrt.cache import (
    CacheOrigin,
    TensorRTCache,
    assuming,
    dumps,
    header_for,
    loads,
    origin_of,
    unfit_scales,
    version_named,
)

names = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)
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


@given(
    st.sampled_from(["minmax", "entropy2", "entropy"]),
    st.one_of(
        st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 99)),
        st.tuples(st.just(10), st.integers(0, 99), st.integers(0, 99)),
    ),
)
def test_a_header_tells_version_and_algorithm(algorithm: str, version: tuple[int, int, int]) -> None:
    assert origin_of(header_for(algorithm, version)) == CacheOrigin(algorithm, tensorrt=version)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_legacy_header_tells_quantile_and_cutoff(quantile: float, cutoff: float) -> None:
    header = header_for("legacy", quantile=quantile, cutoff=cutoff)
    assert origin_of(header) == CacheOrigin("legacy", quantile=quantile, cutoff=cutoff)


@pytest.mark.parametrize(
    "header",
    [
        "TRT-8501-PercentileCalibration",
        "TRT-8501-Entropy",
        "TRT-85-EntropyCalibration2",
        "TRT-99999-EntropyCalibration2",
        "TRT-110000-EntropyCalibration2",
        "0 7ff8000000000000 3fe0000000000000",
        "0 4000000000000000 3fe0000000000000",
        "\ufeffTRT-8501-EntropyCalibration2",
    ],
)
def test_headers_that_no_tensorrt_writes_are_refused(header: str) -> None:
    with pytest.raises(DataError, match=r"known: MinMaxCalibration|is no TensorRT calibration cache"):
        loads(f"{header}\nx: 1\n")


@pytest.mark.parametrize(
    ("text", "version"),
    [("8.5.1", (8, 5, 1)), ("8.5.1.7", (8, 5, 1)), ("10.3", (10, 3, 0)), ("10.13.3.9", (10, 13, 3))],
)
def test_versions_are_read_as_users_write_them(text: str, version: tuple[int, int, int]) -> None:
    assert version_named(text) == version


@pytest.mark.parametrize("text", ["", "8", "8.x", "v8.5", "8.5.1.7.1", "0.5", "8.12", "8.5.100", "8.5 "])
def test_other_versions_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"give (one|a version) as 8\.5\.1"):
        version_named(text)


def test_tensorrt_11_is_said_to_read_no_cache() -> None:
    with pytest.raises(SettingsError, match=r"no calibrators.*calibrant migrate"):
        version_named("11.0")


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
        (f"{HEADER}\nx: 3c010a14\ny: 3c01", "ends inside a line, 'y: 3c01': it was cut off"),
        (HEADER, "ends inside a line"),
        (f"{HEADER}\nx\r: 1\n", "line 2"),
    ],
)
def test_broken_caches_say_where(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        loads(text)


@given(st.text(), st.booleans())
def test_any_text_is_read_or_refused(text: str, ended: bool) -> None:
    for candidate in (text, f"{HEADER}\n{text}", f"{HEADER}\nx: {text}"):
        with suppress(DataError):
            cache = loads(candidate + "\n" * ended)
            assert loads(dumps(cache)) == cache


@given(st.integers(0, 200))
def test_every_cut_is_noticed_or_falls_on_a_line_end(length: int) -> None:
    text = dumps(TensorRTCache(HEADER, {f"tensor {n}: x": n / 7 for n in range(9)}))[:length]
    try:
        assert dumps(loads(text)) == text
    except DataError:
        assert not text.endswith("\n")


@pytest.mark.parametrize("name", ["", "two\nlines", "a\rb", "half a \ud800"])
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


@pytest.mark.parametrize("version", ["8XXX", "8xxx", "85xx", "XXXX", "10XXXX"])
def test_a_header_may_leave_the_version_open(version: str) -> None:
    cache = loads(f"TRT-{version}-EntropyCalibration2\nx: 3c010a14\n")
    origin = origin_of(cache.header)
    assert (origin.algorithm, origin.tensorrt, str(origin)) == (
        "entropy2",
        None,
        "entropy2, TensorRT of unknown version",
    )
    assert dumps(cache) == f"TRT-{version}-EntropyCalibration2\nx: 3c010a14\n"
    assert assuming(cache, (8, 6, 1)).header == "TRT-8601-EntropyCalibration2"


def test_a_version_is_assumed_only_where_there_is_none() -> None:
    known = loads("TRT-8501-MinMaxCalibration\nx: 3c010a14\n")
    assert assuming(known, (10, 3, 0)) is known


def test_scales_that_nothing_can_use_are_read_only_where_that_is_asked_for() -> None:
    text = f"{HEADER}\na: 7fc00000\nb: 3c010a14\nc: ff800000\nd: bf800000\n"
    with pytest.raises(DataError, match=r"line 2: tensor 'a' has scale nan.*cache show lists all"):
        loads(text)
    assert unfit_scales(loads(text, any_scale=True)) == ("a", "c", "d")
