"""Scales of tensors that no run shows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.calibrators import calibrator_named
from calibrant.core.schemes import TENSORRT
from calibrant.core.statistics import statistics_of
from calibrant.core.types import Statistics
from calibrant.stages.calibrate import ranges_from
from calibrant.studies.tensorrt_scales import tensorrt_scales, with_unobserved
from calibrant.targets.tensorrt.tensors import CalibratedTensors

CALIBRATED = CalibratedTensors(
    parsed=("x", "pooled", "again", "shift", "zero", "inner"),
    fused={"entropy": ("x",), "legacy": ("x",)},
    constants={"shift": np.full((1, 3), -2.5, np.float32), "zero": np.zeros((2, 2), np.float32)},
    sources={"x": "x", "pooled": "pooled", "again": "pooled"},
)


def scales(algorithm: str, pooled: NDArray[np.float32]) -> dict[str, float]:
    observed = {"x": statistics_of(np.array([0.5, 4], np.float32)), "pooled": statistics_of(pooled)}
    statistics = with_unobserved(Statistics("", ("image",), observed), CALIBRATED)
    calibrator = calibrator_named(algorithm)
    ranges = ranges_from(statistics, calibrator, TENSORRT.activations, {"pooled": "x"})
    return tensorrt_scales(statistics, ranges, CALIBRATED.for_algorithm(algorithm))


def test_minmax_scales_of_every_kind_of_tensor() -> None:
    thresholds = {name: scale * 127 for name, scale in scales("minmax", np.ones(2, np.float32)).items()}
    assert thresholds == pytest.approx({"x": 4, "pooled": 4, "again": 1, "shift": 2.5, "zero": 0})


def test_what_fusion_removes_is_left_out() -> None:
    assert list(scales("legacy", np.ones(2, np.float32))) == ["x"]


@pytest.mark.parametrize("algorithm", ["minmax", "entropy2", "percentile:99.9", "mse"])
@pytest.mark.parametrize("value", [0.0, 1e-40])
def test_zeros_and_subnormal_numbers_have_scale_zero(algorithm: str, value: float) -> None:
    found = scales(algorithm, np.full(4, value, np.float32))
    assert (found["again"], found["zero"]) == (0, 0)
    assert min(found["x"], found["shift"]) > 0
