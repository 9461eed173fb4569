"""Every parser of ours reads what it should, and refuses anything else in one line.

The fuzzer (fuzz/run.py) is guided by coverage and needs atheris; here Hypothesis draws the same inputs
without guidance, and what the fuzzer once found is read again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets.base import Target, refusals

from calibrant.core.errors import DataError
from targets import TARGETS

REGRESSIONS = Path(__file__).resolve().parents[2] / "fuzz" / "regressions"
SLOW = {name for name in TARGETS if name.startswith("run-")}

# A first byte of 1 lets the rest choose what is changed in an input that is right.
changes = st.binary(min_size=3, max_size=24).map(lambda choices: b"\x01" + choices)
inputs = changes | changes | st.binary(max_size=200)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_is_right_is_read(target: Target) -> None:
    for seed in target.seeds():
        target.check(seed)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_anything_else_is_refused_in_one_line(target: Target) -> None:
    @settings(max_examples=4 if target.name in SLOW else 40, suppress_health_check=list(HealthCheck))
    @given(inputs)
    def check(content: bytes) -> None:
        target.check(content)

    check()


@pytest.mark.parametrize(
    "path", sorted(REGRESSIONS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_what_was_found_stays_mended(path: Path) -> None:
    TARGETS[path.parent.name].check(path.read_bytes())


def test_a_target_notices_what_is_no_refusal() -> None:
    def fail(content: bytes) -> None:
        with refusals():
            raise KeyError(content)

    with pytest.raises(KeyError):
        Target("broken", fail, list).check(b"x")
    with pytest.raises(AssertionError, match="0 characters"), refusals():
        raise DataError("")
