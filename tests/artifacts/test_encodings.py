import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.artifacts.encodings import read_encodings, write_encodings
from calibrant.core.errors import DataError
from calibrant.core.quantize import encoding_of
from calibrant.core.types import Encoding, PerChannel, QuantSpec, Range

finite = st.floats(-1e6, 1e6, width=32)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(finite, finite), max_size=4), st.booleans())
def test_what_is_written_is_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, ranges: dict[str, tuple[float, float]], symmetric: bool
) -> None:
    spec = QuantSpec("int8" if symmetric else "uint8", symmetric)
    written = {name: encoding_of(Range(min(ends), max(ends)), spec) for name, ends in ranges.items()}
    path = tmp_path_factory.mktemp("encodings") / "a.json"
    write_encodings(path, written, "tensorrt", "sha")
    read = read_encodings(path)
    assert read.keys() == written.keys()
    for name, encoding in written.items():
        assert read[name].scale.tobytes() == encoding.scale.tobytes()
        assert read[name].zero_point == encoding.zero_point
        assert read[name].spec == encoding.spec


def test_per_channel_encodings_keep_their_axis(tmp_path: Path) -> None:
    spec = QuantSpec("int8", granularity=PerChannel(1))
    encoding = Encoding(np.array([0.5, 0.25], np.float32), np.zeros(2, np.int64), spec)
    write_encodings(tmp_path / "a.json", {"t": encoding}, "tensorrt", "sha")
    read = read_encodings(tmp_path / "a.json")["t"]
    assert read.spec.granularity == PerChannel(1)
    assert read.scale.tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 99},
        {"activations": 3},
        {"activations": {"t": {"scale": 1.0}}},
        {"activations": {"t": {"scale": "x"}}},
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"schema_version": 1, "activations": {}} | change))
    with pytest.raises(DataError) as error:
        read_encodings(path)
    assert "again" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_scale_that_is_not_positive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_encodings(path, {"t": encoding_of(Range(-1, 1), QuantSpec())}, "tensorrt", "sha")
    content = json.loads(path.read_text())
    content["activations"]["t"]["scale"] = 0.0
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="not positive"):
        read_encodings(path)
