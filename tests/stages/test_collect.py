"""Collecting: the same bits whatever the number of threads, and errors that name their sample."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.statistics import Accumulator
from calibrant.stages.collect import Recorder
from calibrant.stages.parallel import in_order


@dataclass(frozen=True)
class Values:
    id: str
    array: NDArray[np.float32]


def recorded(samples: list[Values], workers: int) -> Recorder:
    recorder = Recorder(["x"])

    def drive(sample: Values) -> None:
        recorder.begin(sample)
        recorder.observe("x", sample.array)

    drive(samples[0])
    recorder.fix_anchors()
    list(in_order(drive, samples[1:], workers))
    return recorder


@pytest.mark.parametrize("first", [1.0, 0.0])
def test_many_threads_give_the_bits_of_one(first: float) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(scale=3.0 ** (i % 5), size=2000).astype(np.float32) for i in range(60)]
    arrays[0] *= np.float32(first)
    samples = [Values(str(i), array) for i, array in enumerate(arrays)]
    plain = Accumulator()
    for index, array in enumerate(arrays):
        plain.observe(array)
        if index == 0:
            plain.fix_anchor()
    expected = plain.statistics()
    for workers in (1, 2, 5):
        found = recorded(samples, workers).statistics()["x"]
        np.testing.assert_array_equal(found.histogram.counts, expected.histogram.counts)
        assert (found.low, found.high, found.histogram.limit) == (
            expected.low,
            expected.high,
            expected.histogram.limit,
        )


def test_the_sample_that_is_no_number_is_named() -> None:
    samples = [Values(f"image {i}", np.full(3, np.nan if i == 7 else 1, np.float32)) for i in range(20)]
    with pytest.raises(NumericsError, match="tensor 'x' for sample 'image 7': 3 of 3"):
        recorded(samples, 3)


def test_a_tensor_that_never_appears_is_an_error() -> None:
    with pytest.raises(EmptyStatisticsError):
        Recorder(["x"]).statistics()


def test_a_sigmoid_a_rounding_away_from_one_is_one() -> None:
    recorder = Recorder(["x", "y"], {"x": 1.0})
    for values in ([0.25, 1 - 2**-23, 0.9999], [0.5, 1 + 2**-23, 1.0]):
        recorder.begin(Values("image", np.asarray(values, np.float32)))
        recorder.observe("x", np.asarray(values, np.float32))
        recorder.observe("y", np.asarray(values, np.float32))
    bounded, free = (recorder.statistics()[tensor] for tensor in ("x", "y"))
    assert (bounded.amax, bounded.histogram.limit, bounded.count) == (1, 1, 6)
    assert (free.amax, free.histogram.limit) == (1 + 2**-23, 2 - 2**-22)


def test_every_thread_has_its_own_accumulators() -> None:
    meeting = threading.Barrier(2, timeout=10)
    recorder = Recorder(["x"])

    def drive(sample: Values) -> None:
        recorder.begin(sample)
        meeting.wait()
        recorder.observe("x", sample.array)

    recorder.begin(Values("first", np.ones(1, np.float32)))
    recorder.observe("x", np.ones(1, np.float32))
    recorder.fix_anchors()
    list(in_order(drive, [Values(str(i), np.ones(4, np.float32)) for i in range(6)], 2))
    assert recorder.statistics()["x"].count == 25
