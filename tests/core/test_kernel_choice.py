"""Which kernels a process uses, and what it says where there are none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from calibrant.core.kernel_choice import VARIABLE, compiled_kernels_are_there

COUNT = """
import sys
for missing in {missing!r}:
    sys.modules[missing] = None  # as where it is not installed
from calibrant.core.errors import CalibrantError
from calibrant.core.statistics import statistics_of
import numpy as np
try:
    assert statistics_of(np.ones(9, np.float32)).count == 9
    print(sys.modules.get("numba") is not None)
except CalibrantError as error:
    print(error)
"""
NEEDS_COMPILED = pytest.mark.skipif(
    not compiled_kernels_are_there(), reason="the kernels were not compiled here (no C compiler)"
)


def said(wanted: str, *missing: str) -> str:
    """What a process says that counts, where these packages are missing."""
    run = subprocess.run(
        [sys.executable, "-c", COUNT.format(missing=missing)],
        env={**os.environ, VARIABLE: wanted}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.strip()


@NEEDS_COMPILED
@pytest.mark.parametrize("wanted", ["", "compiled"])
def test_compiled_kernels_need_no_numba(wanted: str) -> None:
    assert said(wanted, "numba") == "False"


def test_the_reference_can_be_asked_for() -> None:
    assert said("numba") == "True"


def test_numba_takes_the_place_of_what_was_not_compiled() -> None:
    assert said("", "calibrant.core._kernels") == "True"


def test_where_there_are_none_it_says_what_to_install() -> None:
    words = said("", "calibrant.core._kernels", "numba")
    assert "no kernels were compiled" in words
    assert words.endswith("pip install 'calibrant[numba]'")


def test_what_is_asked_for_and_missing_is_an_error() -> None:
    assert "install it again with a C compiler" in said("compiled", "calibrant.core._kernels")
    assert said("numba", "numba").endswith("pip install 'calibrant[numba]'")
    assert "names no kernels" in said("fast")
