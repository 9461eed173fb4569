"""Activations rounded in torch are to the bit what core.formats gives on arrays."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from calibrant.core.format_names import format_named  # noqa: E402
from calibrant.core.formats import decode, encode, grid_between  # noqa: E402
from calibrant.models.checkpoint.rounding import rounding_of  # noqa: E402


@pytest.mark.parametrize("name", ["w8a8", "fp8", "fp8-block", "nvfp4", "mxfp4", "mxfp8"])
def test_dynamic_formats(name: str) -> None:
    inputs = format_named(name).activations
    assert inputs is not None
    values = np.random.default_rng(0).normal(size=(2, 5, 128)).astype(np.float32) * 3
    values[0, 1] = 0
    values[1, 2, 7] = 400
    found = rounding_of(inputs)(torch.from_numpy(values.copy())).numpy()
    assert (found == decode(encode(values, inputs))).all()
    assert len(np.unique(found[1, 2])) < len(np.unique(values[1, 2]))


@pytest.mark.parametrize("name", ["w8a8-static", "fp8-static"])
def test_fixed_ranges_clip(name: str) -> None:
    inputs = format_named(name).activations
    assert inputs is not None
    grid = grid_between(np.asarray(-2, np.float32), np.asarray(2, np.float32), inputs)
    values = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32) * 2
    found = rounding_of(inputs, grid)(torch.from_numpy(values.copy())).numpy()
    assert (found == decode(encode(values, inputs, grid))).all()
    assert np.abs(found).max() == pytest.approx(2, rel=0.01)
