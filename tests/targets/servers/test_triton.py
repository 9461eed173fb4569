"""The text of a model's configuration in a Triton repository."""

from __future__ import annotations

import pytest

from calibrant.core.errors import SettingsError
from calibrant.core.types import TensorInfo
from calibrant.targets.triton import ENGINE, model_configuration


def test_free_dimensions_and_quotes_are_written_as_protobuf_reads_them() -> None:
    text = model_configuration(
        "m", ENGINE, [TensorInfo('a"b', (None, 3), "float16")], [TensorInfo("o", (), "int64")]
    )
    assert 'name: "a\\"b"' in text
    assert "dims: [ -1, 3 ]" in text
    assert "TYPE_FP16" in text
    assert 'backend: "tensorrt"' in text


def test_a_type_that_triton_lacks_is_refused() -> None:
    with pytest.raises(SettingsError, match="float8"):
        model_configuration("m", ENGINE, [TensorInfo("a", (1,), "float8_e4m3fn")], [])
