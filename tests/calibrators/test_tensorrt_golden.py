"""TensorRT 8.5.1.7's own histograms and scales, recorded: the calibrators agree with every one of them."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.calibrators import calibrator_named
from calibrant.calibrators.kernels import bins_of_least_divergence
from calibrant.core.histogram import BINS, Histogram
from calibrant.core.schemes import TENSORRT
from calibrant.core.statistics import Accumulator, TensorStatistics

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TENSORRT_BINS = 2048

pytestmark = pytest.mark.usefixtures("each_kernels")


def recorded(name: str) -> dict[str, dict[str, Any]]:
    tensors = json.loads((GOLDEN / f"tensorrt-8.5.1.7-{name}.json").read_text())["tensors"]
    return {tensor["tensor"]: tensor for tensor in tensors}


HISTOGRAMS, VALUES = recorded("histograms"), recorded("values")


def unpacked(packed: str, dtype: str) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype)


def counts_of(tensor: dict[str, Any]) -> NDArray[np.int64]:
    return unpacked(tensor["counts_zlib_b64_le_u32"], "<u4").astype(np.int64)


def statistics_of_recorded(tensor: dict[str, Any]) -> TensorStatistics:
    """TensorRT's histogram as ours: a bin's counts lie in the first of the eight that it is made of."""
    counts = np.zeros((TENSORRT_BINS, BINS // TENSORRT_BINS), np.int64)
    counts[:, 0] = counts_of(tensor)
    return TensorStatistics(
        Histogram(counts.reshape(-1), tensor["limit"], tensor["limit"]), 0.0, tensor["maximum"]
    )


def statistics_of_values(tensor: dict[str, Any]) -> TensorStatistics:
    """Our statistics of the values that TensorRT was fed, image by image."""
    shape = tensor["shape"]
    if tensor["tensor"] == "lin":
        images = np.tile(np.linspace(0, 1, shape[1]).astype(np.float32), (shape[0], 1))
    else:
        images = unpacked(tensor["values_zlib_b64_le_f32"], "<f4").reshape(shape)
    accumulator = Accumulator()
    for image in images:
        accumulator.observe(image)
    return accumulator.statistics()


def assert_scales_agree(tensor: dict[str, Any], statistics: TensorStatistics) -> None:
    for algorithm, digits in tensor["scale_hex"].items():
        chosen = calibrator_named(algorithm).calibrate(statistics, TENSORRT.activations)
        (expected,) = struct.unpack(">f", bytes.fromhex(digits.zfill(8)))
        np.testing.assert_array_max_ulp(np.float32(chosen.amax / 127), np.float32(expected), maxulp=1)


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_scales_of_tensorrts_histograms(name: str) -> None:
    assert_scales_agree(HISTOGRAMS[name], statistics_of_recorded(HISTOGRAMS[name]))


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_entropy_keeps_the_bins_that_tensorrt_keeps(name: str) -> None:
    assert bins_of_least_divergence(counts_of(HISTOGRAMS[name])) == HISTOGRAMS[name]["kept_bins"]


@pytest.mark.parametrize("name", VALUES)
def test_histograms_of_the_values_that_tensorrt_saw(name: str) -> None:
    found, expected = statistics_of_values(VALUES[name]).histogram, VALUES[name]
    assert found.limit == expected["limit"]
    np.testing.assert_array_equal(found.coarse(TENSORRT_BINS), counts_of(expected))


@pytest.mark.parametrize("name", [name for name in VALUES if name != "all_zero"])
def test_scales_of_the_values_that_tensorrt_saw(name: str) -> None:
    assert_scales_agree(VALUES[name], statistics_of_values(VALUES[name]))
