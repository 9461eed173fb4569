"""``calibrate --tensors all`` against the caches that TensorRT 8.5.1.7 wrote from the same images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import calibrant
from calibrant.artifacts.trt_cache import TensorRTCache, loads
from calibrant.core.schemes import TENSORRT
from calibrant.graph.model import load_model
from calibrant.graph.points import quant_plan

pytestmark = pytest.mark.shared

MODEL = "fastestdet_352"
TOLERANCE = 1e-3

Caches = Callable[[str], tuple[TensorRTCache, TensorRTCache]]


@pytest.fixture(scope="module")
def caches(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Caches:
    """For an algorithm, our cache and TensorRT's."""
    out = tmp_path_factory.mktemp("caches")
    calibrant.calibrate(
        shared / f"models/{MODEL}.onnx",
        shared / "data/coco/train2017",
        out,
        calibrators="minmax,entropy2,entropy,legacy",
        tensors="all",
    )

    def read(algorithm: str) -> tuple[TensorRTCache, TensorRTCache]:
        theirs = shared / f"tensorrt/caches-8.5.1.7/{MODEL}.{algorithm}.cache"
        return loads((out / f"{algorithm}.cache").read_text()), loads(theirs.read_text())

    return read


def agreeing(ours: TensorRTCache, theirs: TensorRTCache) -> set[str]:
    return {
        tensor
        for tensor, scale in theirs.scales.items()
        if abs(ours.scales[tensor] - scale) <= TOLERANCE * scale
    }


@pytest.mark.parametrize("algorithm", ["minmax", "entropy2", "entropy", "legacy"])
def test_header_and_names_are_tensorrts(caches: Caches, algorithm: str) -> None:
    ours, theirs = caches(algorithm)
    assert (ours.header, set(ours.scales)) == (theirs.header, set(theirs.scales))


@pytest.mark.parametrize("algorithm", ["minmax", "legacy"])
def test_every_scale_is_tensorrts(caches: Caches, algorithm: str) -> None:
    ours, theirs = caches(algorithm)
    assert agreeing(ours, theirs) == set(theirs.scales)


@pytest.mark.parametrize("algorithm", ["entropy2", "entropy"])
def test_almost_every_entropy_scale_is_tensorrts(caches: Caches, shared: Path, algorithm: str) -> None:
    ours, theirs = caches(algorithm)
    agree = agreeing(ours, theirs)
    points = quant_plan(load_model(shared / f"models/{MODEL}.onnx"), TENSORRT).activations
    quantized = {point.tensor for point in points} & set(theirs.scales)
    assert len(agree) >= 0.95 * len(theirs.scales)
    assert len(agree & quantized) >= 0.99 * len(quantized) > 0
