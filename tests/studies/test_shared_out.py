"""A study whose work is shared out is the study that one process makes, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inline import Inline
from test_run import broken, toy_study
from toy import ToySample, ToyTask, toy_model, toy_samples

from calibrant.artifacts.cache import Cache
from calibrant.artifacts.statistics import read_statistics
from calibrant.calibrators import NamedCalibrator, calibrators_named
from calibrant.core.errors import DataError, NumericsError
from calibrant.core.executor import Executor
from calibrant.core.progress import Silent
from calibrant.stages.remote.files import NamedFile, NamedSamples, shards_of
from calibrant.studies.result import StudyResult
from calibrant.studies.run import run_study

NAMES = "minmax,entropy2,entropy,percentile:99.9,percentile:50,mse"


def studied(folder: Path, executor: Executor | None, cache: Cache | None = None) -> StudyResult:
    (folder / "out").mkdir(parents=True, exist_ok=True)
    calibrators = (*calibrators_named(NAMES), NamedCalibrator("mine", broken))
    study = toy_study(folder, calibrators, toy_samples(21, seed=2, outlier=30.0))
    return run_study(study, folder / "out", Silent(), cache, executor)


def figures(result: StudyResult) -> Any:
    content = result.to_dict()
    for entry in (content["baseline"], *content["trials"]):
        del entry["seconds"], entry["latency"]
    del content["created"], content["calibration_seconds"], content["model"]
    return json.loads(json.dumps(content))


def assert_same_bits(one: Path, other: Path) -> None:
    left, right = (read_statistics(folder / "out" / "statistics.npz") for folder in (one, other))
    assert left.tensors.keys() == right.tensors.keys()
    assert left.sample_ids == right.sample_ids
    for tensor, stats in left.tensors.items():
        found = right.tensors[tensor]
        np.testing.assert_array_equal(stats.histogram.counts, found.histogram.counts)
        assert (stats.low, stats.high) == (found.low, found.high)
        assert (stats.histogram.anchor, stats.histogram.limit) == (
            found.histogram.anchor,
            found.histogram.limit,
        )
    for cache in (one / "out").glob("*.cache"):
        assert cache.read_bytes() == (other / "out" / cache.name).read_bytes()


def test_the_result_is_that_of_one_process(tmp_path: Path) -> None:
    alone = studied(tmp_path / "alone", None)
    inline = Inline()
    shared = studied(tmp_path / "shared", inline)
    assert figures(shared) == figures(alone)
    assert_same_bits(tmp_path / "alone", tmp_path / "shared")
    kinds = [kind for kind, _, _ in inline.sizes]
    # One sample anchors; the other 20 are shards of 8. 40 test samples are 5 shards, for each model at most.
    assert (kinds.count("FirstShard"), kinds.count("LaterShard")) == (1, 3)
    assert kinds.count("PredictingShard") >= 5 + 5
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["out", "toy.onnx"]
    assert not list((tmp_path / "shared" / "out").glob(".*"))


def test_a_nan_is_blamed_on_its_sample(tmp_path: Path) -> None:
    samples = toy_samples(12, seed=2)
    samples[10].values[0, 0, 0, 0] = float("nan")
    study = toy_study(tmp_path, calibrators_named("minmax"), samples)
    with pytest.raises(NumericsError, match="tensor 'x' for sample '2-10': 1 of 192 values"):
        run_study(study, tmp_path, Silent(), None, Inline())


def test_another_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"one")
    named = NamedFile.of(tmp_path / "m.onnx")
    assert named.checked() == tmp_path / "m.onnx"
    (tmp_path / "m.onnx").write_bytes(b"two")
    with pytest.raises(DataError, match=r"m.onnx on machine .* is not the file that was sent for"):
        named.checked()
    (tmp_path / "m.onnx").unlink()
    with pytest.raises(DataError, match="cannot read"):
        named.checked()


class Named(ToyTask):
    """The toy task, whose samples have a digest."""

    def digest(self, sample: ToySample) -> bytes:
        return sample.values.tobytes()


def test_another_sample_in_its_place_is_refused(tmp_path: Path) -> None:
    task, samples = Named(toy_model(tmp_path / "toy.onnx")), toy_samples(3, seed=1)
    named = NamedSamples.of(samples, task).at([2, 0])
    assert [sample.id for sample in named.checked(task)] == ["1-2", "1-0"]
    samples[0].values[:] = 0
    with pytest.raises(DataError, match=r"sample '1-0' on machine .* is not the one that was sent for"):
        named.checked(task)


def test_shards_hold_every_position_once() -> None:
    assert [list(part) for part in shards_of(range(3, 8), 2)] == [[3, 4], [5, 6], [7]]
    assert shards_of([]) == ()
