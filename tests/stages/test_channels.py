"""Channel statistics: what numpy says of all samples together, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from feeding import Feeding, Values
from onnx import TensorProto, helper, save

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.models.onnx.model import Model, load_model
from calibrant.runtimes import runtime_named
from calibrant.stages.channels import ChannelStatistics, channel_statistics

SHAPE = (1, 3, 4, 5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    path = tmp_path_factory.mktemp("model") / "abs.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return load_model(path)


def samples(count: int = 9) -> list[Values]:
    random = np.random.default_rng(0)
    return [Values(f"image {i}", random.normal(size=SHAPE).astype(np.float32)) for i in range(count)]


def found(model: Model, given: Sequence[Values], workers: int = 1, times: int = 1) -> ChannelStatistics:
    runtime = runtime_named(f"onnxruntime:workers={workers}")
    return channel_statistics(model, ["x"], Feeding(times), runtime, given)["x"]


@pytest.mark.parametrize("workers", [1, 3])
def test_all_samples_count(model: Model, workers: int) -> None:
    given = samples()
    stacked = np.concatenate([sample.array for sample in given])
    magnitudes = np.abs(stacked).max(axis=(2, 3))
    channels = found(model, given, workers)
    np.testing.assert_array_equal(channels.low, stacked.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(channels.high, stacked.max(axis=(0, 2, 3)))
    np.testing.assert_array_equal(channels.amax, magnitudes.max(axis=0))
    np.testing.assert_allclose(channels.mean, stacked.mean(axis=(0, 2, 3)), atol=1e-6)
    assert channels.peak_samples == tuple(given[i].id for i in magnitudes.argmax(axis=0))


def test_a_task_may_run_the_model_several_times_for_a_sample(model: Model) -> None:
    given = samples(2)
    once, twice = found(model, given), found(model, given, times=2)
    np.testing.assert_array_equal(twice.high, np.maximum(once.high, 2 * once.high))
    np.testing.assert_allclose(twice.mean, 1.5 * once.mean, rtol=1e-5)


@pytest.mark.parametrize(("count", "rare"), [(5, 0), (39, 0), (40, 1), (100, 2)])
def test_rare_samples_are_not_typical(model: Model, count: int, rare: int) -> None:
    given = samples(count)
    stacked = np.concatenate([sample.array for sample in given])
    channels = found(model, given)
    np.testing.assert_array_equal(channels.typical_low, np.sort(stacked.min(axis=(2, 3)), axis=0)[rare])
    np.testing.assert_array_equal(channels.typical_high, np.sort(stacked.max(axis=(2, 3)), axis=0)[-1 - rare])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_named_with_its_sample(model: Model, bad: float) -> None:
    given = samples(4)
    given[2].array[0, 1, 2, 3] = bad
    with pytest.raises(NumericsError, match="tensor 'x' for sample 'image 2'"):
        found(model, given)


def test_without_samples_nothing_is_known(model: Model) -> None:
    with pytest.raises(EmptyStatisticsError, match="at least one sample"):
        found(model, [])


def test_what_is_as_long_as_its_sample_has_no_channels(tmp_path: Path) -> None:
    """A recognizer's steps lie along axis 1, and a wide line has more of them."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "t", 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", [x], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m")
    given = [Values(str(steps), np.ones((1, steps, 4), np.float32)) for steps in (3, 3, 5)]
    runtime = runtime_named("onnxruntime:workers=1")
    opened = load_model(tmp_path / "m")
    assert channel_statistics(opened, ["x"], Feeding(), runtime, given) == {}
    assert list(channel_statistics(opened, ["x"], Feeding(), runtime, given[:2])) == ["x"]
