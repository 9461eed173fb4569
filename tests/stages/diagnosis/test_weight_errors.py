import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.types import PerChannel, PerTensor, QuantSpec
from calibrant.stages.diagnosis.weight_errors import weight_error

PER_CHANNEL = QuantSpec("int8", granularity=PerChannel(0), narrow=True)
PER_TENSOR = QuantSpec("int8", granularity=PerTensor(), narrow=True)


def weights() -> NDArray[np.float32]:
    sizes = np.array([1, 10, 0.1, 1]).reshape(4, 1, 1, 1)
    weight = np.random.default_rng(1).normal(0, 1, (4, 3, 3, 3)) * sizes
    return np.asarray(weight, np.float32)


def test_the_spread_is_of_channel_maxima_whatever_the_axis() -> None:
    weight = weights()
    found = weight_error(weight, PER_CHANNEL, 0)
    turned = weight_error(np.moveaxis(weight, 0, 1), PER_CHANNEL, 1)
    amax = np.abs(weight).reshape(4, -1).max(axis=1)
    assert found.spread == pytest.approx(amax.max() / amax.min())
    assert turned.spread == found.spread
    assert turned.noise == pytest.approx(found.noise)


def test_a_scale_for_each_channel_spares_the_small_one() -> None:
    apart, together = (weight_error(weights(), spec, 0) for spec in (PER_CHANNEL, PER_TENSOR))
    assert together.worst_channel == 2
    assert together.noise[2] > 1000 * apart.noise[2]


def test_channels_of_zeros_are_no_worst_channel_and_no_spread() -> None:
    weight = weights()
    weight[1] = 0
    found = weight_error(weight, PER_CHANNEL, 0)
    assert found.worst_channel != 1
    assert np.isfinite(found.spread)
    assert weight_error(np.zeros_like(weight), PER_CHANNEL, 0).spread == 1
