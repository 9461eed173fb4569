"""Rows that are rounded by several threads are those that one rounds."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from calibrant.core.format_names import format_named
from calibrant.core.formats import decode
from calibrant.methods import method_named
from calibrant.methods.types import NOTHING
from calibrant.studies.checkpoints import rows


@pytest.mark.parametrize("name", ["w8a8", "w4a16-g32-asym", "fp8", "mxfp4", "q4_1", "nvfp4"])
def test_side_by_side_is_one_after_the_other(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "SMALL", 64)
    monkeypatch.setattr(rows, "threads", lambda: 3)
    chosen = format_named(name).weights
    assert chosen is not None
    weight = np.random.default_rng(0).standard_normal((7, 128)).astype(np.float32)
    whole = method_named("mse")(weight, chosen, NOTHING).encoded
    found = rows.encoded_by_rows(method_named("mse"), weight, chosen, NOTHING)
    assert np.array_equal(found.codes, whole.codes)
    assert np.array_equal(found.grid.scale, whole.grid.scale)
    assert np.array_equal(rows.decoded_by_rows(found), decode(whole))
