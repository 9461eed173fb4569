"""Which scheme predicts what is deployed."""

from __future__ import annotations

import pytest

from calibrant.core.errors import SettingsError
from calibrant.core.schemes import scheme_to_deploy


@pytest.mark.parametrize(
    ("scheme", "deploy", "expected"),
    [
        ("tensorrt", None, "tensorrt"),
        ("tensorrt", "qdq", "tensorrt"),
        ("tensorrt", "cache", "tensorrt-implicit"),
        ("tensorrt-implicit", None, "tensorrt-implicit"),
        ("tensorrt-implicit", "cache", "tensorrt-implicit"),
        ("openvino", "qdq", "openvino"),
    ],
)
def test_a_cache_is_predicted_by_the_implicit_scheme(scheme: str, deploy: str | None, expected: str) -> None:
    assert scheme_to_deploy(scheme, deploy) == expected


@pytest.mark.parametrize(
    ("scheme", "deploy", "words"),
    [
        ("openvino", "cache", "openvino has no caches to deploy; use --scheme tensorrt"),
        ("tensorrt-implicit", "qdq", "predicts caches, not Q/DQ models"),
        ("tensorrt", "engine", "'engine' is no way to deploy; use qdq or cache"),
        ("tensort", "cache", "no scheme is called 'tensort'"),
    ],
)
def test_what_cannot_be_deployed_is_told(scheme: str, deploy: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        scheme_to_deploy(scheme, deploy)
