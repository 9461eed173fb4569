"""Coverage-guided fuzzing of what reads calibration caches, as text and as JSON.

Not part of ``make test``. In an environment of its own (atheris has wheels for Linux)::

    pip install atheris -e .
    python fuzz/trt_cache.py -max_total_time=180 [folder of inputs to start from and to keep]

Anything but DataError is a finding, and so is a cache that does not come back from its own text and JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["calibrant.artifacts"]):
    from calibrant.artifacts.trt_cache import TensorRTCache, dumps
    from calibrant.artifacts.trt_cache_files import parsed_cache, parsed_cache_json
    from calibrant.artifacts.trt_cache_json import to_json

from calibrant.core.errors import DataError

START = b"TRT-8501-EntropyCalibration2\n"
JSON_START = (
    b'{"format": "calibrant.tensorrt-cache", "version": 1, "header": "TRT-8501-EntropyCalibration2", '
)


def check(content: bytes) -> None:
    """Read bytes in every way a file is read. The first byte chooses what stands before them."""
    start = {0: START, 1: JSON_START}.get(content[0] if content else 2, b"")
    given = start + content[1:] if start else content
    for read in (parsed_cache, parsed_cache_json):
        cache = accepted(read, given)
        if cache is not None:
            text = dumps(cache).encode()
            described = json.dumps(to_json(cache)).encode()
            assert parsed_cache(text) == parsed_cache_json(described) == cache
            assert dumps(parsed_cache_json(described)).encode() == text


def accepted(read: Callable[[bytes], TensorRTCache], content: bytes) -> TensorRTCache | None:
    """The cache, or None where it is refused with one line."""
    try:
        return read(content)
    except DataError as error:
        words = str(error)
    assert "\n" not in words
    assert len(words) < 1000
    return None


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
