"""Conformance cases: what a calibrator, a runtime and a task must do to fit in.

Inherit one in your own tests and say what is to be tested; pytest runs its ``test_`` methods::

    class TestMine(CalibratorConformance):
        calibrator = staticmethod(mine)


    class TestMyRuntime(RuntimeConformance):
        runtime = MyRuntime()


    class TestMyTask(TaskConformance):
        task = MyTask()

        def samples(self): ...
        def perfect(self, sample): ...
        def nothing(self, sample): ...
    # and MethodConformance, with method = staticmethod(mine), for what rounds weights
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core import histogram
from calibrant.core.errors import EmptyStatisticsError, RuntimeFailedError
from calibrant.core.metrics import Evidence, Score, StorableEvidence, loss
from calibrant.core.quantize import dequantized, encoding_of, quantized
from calibrant.core.statistics import TensorStatistics, statistics_of
from calibrant.core.tasks import Task
from calibrant.core.types import Calibrator, FloatArray, QuantSpec, Range, Runtime
from calibrant.methods.conformance import MethodConformance as MethodConformance

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SYMMETRIC = QuantSpec("int8", symmetric=True)
ASYMMETRIC = QuantSpec("uint8", symmetric=False)

# TensorRT's entropy calibrators may choose half of one of their 2048 bins more than the histogram's limit.
_LARGEST_OVERSHOOT = 1 + 0.5 / 2048


class CalibratorConformance:
    """A calibrator is a pure function that finds a sensible range for whatever a network can hold."""

    calibrator: Calibrator

    def tensors(self) -> Mapping[str, FloatArray]:
        """The tensors that every case is tried on, by name; override to add your own."""
        rng = np.random.default_rng(20240229)
        normal = rng.standard_normal(20_000).astype(np.float32)
        return {
            "normal": normal,
            "non-negative, as after ReLU": np.maximum(normal, 0),
            "negative": -np.abs(normal) - np.float32(0.5),
            "heavy-tailed": (normal**5).astype(np.float32),
            "one outlier": np.append(normal, np.float32(1000)),
            "sparse": np.where(rng.random(normal.size) < 0.999, np.float32(0), normal),
            "large": normal * np.float32(1e30),
            "small": normal * np.float32(1e-30),
            "constant": np.full(1000, 3.7, np.float32),
            "single value": np.array([-2.5], np.float32),
            "all zero": np.zeros(1000, np.float32),
        }

    def test_it_is_pure(self) -> None:
        """The same statistics give the same range, and are left as they were."""
        for name, stats, spec in self._cases():
            before = stats.histogram.counts.copy()
            first, second = self.calibrator(stats, spec), self.calibrator(stats, spec)
            assert first == second, name
            assert np.array_equal(before, stats.histogram.counts), name

    def test_the_range_is_finite_and_ordered(self) -> None:
        """Both ends are finite, low is not above high, and NaN never appears."""
        for name, stats, spec in self._cases():
            chosen = self.calibrator(stats, spec)
            assert np.isfinite([chosen.low, chosen.high]).all(), (name, chosen)
            assert chosen.low <= chosen.high, (name, chosen)

    def test_a_symmetric_target_gets_a_symmetric_range(self) -> None:
        """Low is exactly -high."""
        for name, stats, spec in self._cases():
            chosen = self.calibrator(stats, spec)
            assert not spec.symmetric or chosen.low == -chosen.high, (name, chosen)

    def test_it_stays_within_what_was_seen(self) -> None:
        """No end lies beyond the histogram's limit (by more than TensorRT's own half bin)."""
        for name, stats, spec in self._cases():
            chosen = self.calibrator(stats, spec)
            assert chosen.amax <= stats.histogram.limit * _LARGEST_OVERSHOOT, (name, chosen)

    def test_the_range_can_be_stored(self) -> None:
        """The scale is a positive finite number, also where all values are zero."""
        for name, stats, spec in self._cases():
            scale = encoding_of(self.calibrator(stats, spec), spec).scale
            assert np.isfinite(scale).all(), (name, scale)
            assert (scale > 0).all(), (name, scale)

    def test_a_tensor_of_one_value_keeps_it(self) -> None:
        """Nothing is gained by clipping the only value there is: it comes back to within 1 %."""
        for value in (-2.5, 0.0, 3.7):
            values = np.full(100, value, np.float32)
            for spec in (SYMMETRIC, ASYMMETRIC):
                encoding = encoding_of(self.calibrator(statistics_of(values), spec), spec)
                restored = dequantized(quantized(values, encoding), encoding)
                assert np.allclose(restored, values, rtol=0.01, atol=0), (value, spec)

    def test_it_scales_with_its_input(self) -> None:
        """Values times a power of two give the range times that power, to the last bit."""
        for name, stats, spec in self._cases():
            chosen = self.calibrator(stats, spec)
            for factor in (0.125, 2.0, 32.0):
                scaled = self.calibrator(_times(stats, factor), spec)
                assert scaled == Range(chosen.low * factor, chosen.high * factor), (name, factor)

    def test_nothing_seen_is_refused(self) -> None:
        """Statistics without a single value raise EmptyStatisticsError."""
        nothing = TensorStatistics(histogram.empty(), np.inf, -np.inf)
        _assert_raises(EmptyStatisticsError, lambda: self.calibrator(nothing, SYMMETRIC))

    def _cases(self) -> list[tuple[str, TensorStatistics, QuantSpec]]:
        specs = {"symmetric": SYMMETRIC, "asymmetric": ASYMMETRIC}
        return [
            (f"{tensor}, {kind}", statistics_of(values), spec)
            for tensor, values in self.tensors().items()
            for kind, spec in specs.items()
        ]


class RuntimeConformance:
    """A runtime opens ONNX files and computes what the graph says, no more and no less."""

    runtime: Runtime

    def test_it_says_what_it_is(self) -> None:
        """It has the protocol's methods, a name and a version."""
        assert isinstance(self.runtime, Runtime)
        assert self.runtime.name
        assert self.runtime.version

    def test_arrays_go_in_and_come_out_by_name(self, tmp_path: Path) -> None:
        """Identity gives back the same values, shape and type."""
        array = _array()
        with self.runtime.open(_saved(_identity(), tmp_path / "identity.onnx")) as session:
            outputs = session.run({"given": array})
        assert set(outputs) == {"same"}
        assert outputs["same"].dtype == np.float32
        assert np.array_equal(outputs["same"], array)

    def test_paths_may_hold_any_letter(self, tmp_path: Path) -> None:
        """A folder and a file name with spaces and letters beyond ASCII open."""
        path = tmp_path / "größe 模型" / "mødel ñ.onnx"
        path.parent.mkdir()
        with self.runtime.open(_saved(_identity(), path)) as session:
            assert np.array_equal(session.run({"given": _array()})["same"], _array())

    def test_quantization_rounds_and_saturates_as_onnx_says(self, tmp_path: Path) -> None:
        """Q/DQ rounds half to even and saturates, so that scores can be compared between runtimes."""
        halves = (np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5) - 30) * 5.5
        encoding = encoding_of(Range(-127.0, 127.0), SYMMETRIC)
        with self.runtime.open(_saved(_quantize_dequantize(), tmp_path / "qdq.onnx")) as session:
            restored = session.run({"given": halves})["restored"]
        assert np.array_equal(restored, dequantized(quantized(halves, encoding), encoding))

    def test_outputs_come_in_the_graphs_order(self, tmp_path: Path) -> None:
        """Whatever order a runtime keeps them in, tasks read them by position; values go with the names."""
        names = [f"times_{factor}" for factor in (7, 3, 11, 2, 5)]
        with self.runtime.open(_saved(_multiples(names), tmp_path / "many.onnx")) as session:
            outputs = session.run({"given": _array()})
        assert list(outputs) == names
        for name in names:
            assert np.allclose(outputs[name], _array() * np.float32(name.partition("_")[2])), name

    def test_recording_shows_what_the_graph_computes(self, tmp_path: Path) -> None:
        """Each run hands over the tensors asked for, each once, with the values of a probe.

        They may come in any order, in several parts and in any order of values.
        """
        path = _saved(_two_steps(), tmp_path / "probe.onnx")
        arrays = [_array(), _array() * 2, _array() * 3]
        seen: list[tuple[str, NDArray[Any]]] = []

        def observe(tensor: str, *parts: NDArray[Any]) -> None:
            seen.append((tensor, np.sort(np.concatenate([part.reshape(-1) for part in parts]))))

        with self.runtime.record(path, ["hidden", "given"], observe) as session:
            recorded = [dict(session.run({"given": array})) for array in arrays]
        shown = [dict(seen[start : start + 2]) for start in range(0, len(seen), 2)]
        with self.runtime.open(path) as session:
            plain = [dict(session.run({"given": array})) for array in arrays]
        assert [set(tensors) for tensors in shown] == [{"hidden", "given"}] * len(arrays)
        for run, array in enumerate(arrays):
            assert np.array_equal(shown[run]["hidden"], np.sort(plain[run]["hidden"], axis=None))
            assert np.array_equal(shown[run]["given"], np.sort(array, axis=None))
            assert np.array_equal(recorded[run]["final"], plain[run]["final"])

    def test_runs_under_way_at_once_do_not_mix(self, tmp_path: Path) -> None:
        """A session that says it may be run by several threads gives each the answer to its own input."""
        arrays = [_array() * np.float32(factor) for factor in range(40)]
        with (
            self.runtime.open(_saved(_identity(), tmp_path / "identity.onnx")) as session,
            ThreadPoolExecutor(getattr(session, "concurrency", 1)) as threads,
        ):
            answers = list(threads.map(lambda array: session.run({"given": array})["same"].copy(), arrays))
        assert all(np.array_equal(answer, array) for answer, array in zip(answers, arrays, strict=True))

    def test_sessions_do_not_know_each_other(self, tmp_path: Path) -> None:
        """Two models are open at once, and closing one leaves the other running."""
        first = self.runtime.open(_saved(_identity(), tmp_path / "first.onnx"))
        with self.runtime.open(_saved(_two_steps(), tmp_path / "second.onnx")) as second:
            assert np.array_equal(first.run({"given": _array()})["same"], _array())
            first.close()
            assert np.array_equal(second.run({"given": _array()})["hidden"], np.maximum(_array(), 0))

    def test_files_that_are_no_model_are_refused(self, tmp_path: Path) -> None:
        """A missing, a foreign and a truncated file raise RuntimeFailedError."""
        whole = _saved(_two_steps(), tmp_path / "whole.onnx").read_bytes()
        (tmp_path / "foreign.onnx").write_bytes(b"this is no model")
        (tmp_path / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
        for name in ("missing.onnx", "foreign.onnx", "truncated.onnx"):
            _assert_raises(RuntimeFailedError, partial(self.runtime.open, tmp_path / name))

    def test_inputs_that_do_not_fit_are_refused(self, tmp_path: Path) -> None:
        """A wrong shape and a wrong name raise RuntimeFailedError, and the session lives on."""
        with self.runtime.open(_saved(_identity(), tmp_path / "identity.onnx")) as session:
            _assert_raises(RuntimeFailedError, lambda: session.run({"given": _array()[:, :2]}))
            _assert_raises(RuntimeFailedError, lambda: session.run({"picture": _array()}))
            assert np.array_equal(session.run({"given": _array()})["same"], _array())

    def test_closing_ends_it(self, tmp_path: Path) -> None:
        """Closing twice does no harm; a closed session runs nothing."""
        session = self.runtime.open(_saved(_identity(), tmp_path / "identity.onnx"))
        session.close()
        session.close()
        _assert_raises(RuntimeFailedError, lambda: session.run({"given": _array()}))


class TaskConformance:
    """A task's score tells better from worse, and can be computed again under any weighting of the samples.

    best, worst: what predictions that cannot be better and those of nothing score; None: it is not known.
    """

    task: Task
    best: float | None = None
    worst: float | None = None

    def samples(self) -> Sequence[Any]:
        """Three or more labelled samples, each with something to be found."""
        raise NotImplementedError

    def perfect(self, sample: Any) -> Any:
        """The prediction for ``sample`` that cannot be better."""
        raise NotImplementedError

    def nothing(self, sample: Any) -> Any:
        """The prediction of a model that found nothing in ``sample``."""
        raise NotImplementedError

    def test_it_has_a_name(self) -> None:
        """Results are written under it."""
        assert self.task.name

    def test_right_is_better_than_nothing(self) -> None:
        """The metric's direction is the right one, and an empty prediction is no error and earns least."""
        perfect, mixed, nothing = (
            self._score(found).value
            for found in (self._all(right=True), self._mixed(), self._all(right=False))
        )
        metric = self.task.metric
        assert loss(perfect, nothing, metric) > 0
        assert loss(perfect, mixed, metric) >= 0
        assert loss(mixed, nothing, metric) >= 0

    def test_the_ends_are_as_they_are_known(self) -> None:
        """Not 0.99 where 1 is best: a metric that loses something on the way hides small losses."""
        for known, right in ((self.best, True), (self.worst, False)):
            assert known is None or abs(self._score(self._all(right=right)).value - known) < 1e-9

    def test_models_that_predict_the_same_agree(self) -> None:
        """Agreement is 1 with oneself, and no more with another."""
        _, right = self._predicted(self._all(right=True))
        _, mixed = self._predicted(self._mixed())
        assert abs(self.task.agreement(right, right) - 1) < 1e-9
        assert 0 <= self.task.agreement(right, mixed) <= 1

    def test_predictions_that_can_be_kept_come_back(self) -> None:
        """What is packed is unpacked to what scores the same."""
        samples, predictions = self._predicted(self._mixed())
        arrays = self.task.pack(predictions)
        if arrays is not None:
            again = self.task.unpack(arrays)
            assert self.task.score(samples, again).value == self.task.score(samples, predictions).value

    def test_each_sample_once_is_the_score_itself(self) -> None:
        """Resampling with weights of one gives the value, for each row of weights."""
        score = self._score(self._mixed())
        again = score.evidence.resample(np.ones((2, len(self.samples())), np.int64))
        assert again.shape == (2,)
        assert np.allclose(again, score.value, rtol=0, atol=1e-9)

    def test_evidence_alone_is_that_of_the_score(self) -> None:
        """A task may give it for less than the score: resampled it gives the same bits."""
        samples, predictions = self._predicted(self._mixed())
        weights = np.arange(2 * len(samples), dtype=np.int64).reshape(2, -1)
        alone = self.task.evidence(samples, predictions).resample(weights)
        assert alone.tobytes() == self.task.score(samples, predictions).evidence.resample(weights).tobytes()

    def test_the_order_of_the_samples_does_not_matter(self) -> None:
        """Samples, predictions and weights turned round give the same numbers."""
        found = self._mixed()
        weights = np.arange(len(found), dtype=np.int64)[None] + 1
        forth, back = self._score(found), self._score(found, reverse=True)
        assert abs(forth.value - back.value) < 1e-9
        assert np.allclose(
            forth.evidence.resample(weights),
            back.evidence.resample(weights[:, ::-1].copy()),
            rtol=0,
            atol=1e-9,
        )

    def test_a_weight_of_zero_leaves_a_sample_out(self) -> None:
        """It is as if the sample had never been in the set."""
        found = self._mixed()
        weights = np.ones((1, len(found)), np.int64)
        weights[0, 0] = 0
        samples, predictions = self._predicted(found)
        without = self.task.score(samples[1:], predictions[1:])
        assert abs(float(self._score(found).evidence.resample(weights)[0]) - without.value) < 1e-9

    def _all(self, *, right: bool) -> list[bool]:
        return [right] * len(self.samples())

    def _mixed(self) -> list[bool]:
        return [index % 2 == 0 for index in range(len(self.samples()))]

    def _predicted(self, found: Sequence[bool]) -> tuple[list[Any], list[Any]]:
        samples = list(self.samples())
        predict = {True: self.perfect, False: self.nothing}
        return samples, [predict[hit](sample) for sample, hit in zip(samples, found, strict=True)]

    def _score(self, found: Sequence[bool], *, reverse: bool = False) -> Score:
        samples, predictions = self._predicted(found)
        step = -1 if reverse else 1
        return self.task.score(samples[::step], predictions[::step])


class EvidenceConformance:
    """Evidence alone gives the metric again under any weighting, and comes back from a file's arrays.

    For tasks whose evidence is made elsewhere than in :meth:`Task.score`.
    """

    def evidence(self) -> StorableEvidence:
        """Of three or more samples that are not all alike."""
        raise NotImplementedError

    def value(self, samples: Sequence[int]) -> float:
        """The metric of some of these samples, by their positions, told without :meth:`Evidence.resample`."""
        raise NotImplementedError

    def count(self) -> int:
        """How many samples there are."""
        raise NotImplementedError

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Evidence:
        """What was kept as ``arrays``."""
        raise NotImplementedError

    def test_each_sample_once_is_the_metric_itself(self) -> None:
        """For each row of weights."""
        found = self.evidence().resample(np.ones((2, self.count()), np.int64))
        assert np.allclose(found, self.value(range(self.count())), rtol=0, atol=1e-9)

    def test_a_weight_of_zero_leaves_a_sample_out(self) -> None:
        """It is as if the sample had never been in the set."""
        weights = np.ones((1, self.count()), np.int64)
        weights[0, 0] = 0
        assert abs(float(self.evidence().resample(weights)[0]) - self.value(range(1, self.count()))) < 1e-9

    def test_no_sample_has_no_value(self) -> None:
        """It is undefined, not 0."""
        assert np.isnan(self.evidence().resample(np.zeros((1, self.count()), np.int64))).all()

    def test_it_comes_back_from_its_arrays(self) -> None:
        """To the same bits."""
        weights = np.arange(2 * self.count(), dtype=np.int64).reshape(2, -1)
        again = self.restored(self.evidence().to_arrays())
        assert again.resample(weights).tobytes() == self.evidence().resample(weights).tobytes()


def _times(stats: TensorStatistics, factor: float) -> TensorStatistics:
    """The statistics of the same values times a power of two."""
    seen = stats.histogram
    grown = histogram.Histogram(seen.counts.copy(), seen.anchor * factor, seen.limit * factor)
    return TensorStatistics(grown, stats.low * factor, stats.high * factor)


def _assert_raises(error: type[Exception], action: Callable[[], object]) -> None:
    try:
        action()
    except error:
        return
    raise AssertionError(f"{error.__name__} was not raised")


# --- small models ------------------------------------------------------------------------------------


def _array() -> FloatArray:
    return np.linspace(-1, 1, 60, dtype=np.float32).reshape(1, 3, 4, 5)


def _identity() -> ModelProto:
    from onnx import helper

    return _model([helper.make_node("Identity", ["given"], ["same"])], ["same"])


def _two_steps() -> ModelProto:
    from onnx import helper

    steps = [
        helper.make_node("Relu", ["given"], ["hidden"]),
        helper.make_node("Add", ["hidden", "hidden"], ["final"]),
    ]
    return _model(steps, ["final", "hidden"])


def _multiples(names: Sequence[str]) -> ModelProto:
    """The array times each name's number; the nodes stand in another order than the outputs."""
    from onnx import helper

    factors = {f"{name}_factor": np.float32(name.partition("_")[2]) for name in names}
    nodes = [helper.make_node("Mul", ["given", f"{name}_factor"], [name]) for name in sorted(names)]
    return _model(nodes, names, **factors)


def _quantize_dequantize() -> ModelProto:
    from onnx import helper

    nodes = [
        helper.make_node("QuantizeLinear", ["given", "scale", "zero"], ["stored"]),
        helper.make_node("DequantizeLinear", ["stored", "scale", "zero"], ["restored"]),
    ]
    return _model(nodes, ["restored"], scale=np.float32(1), zero=np.int8(0))


def _model(nodes: Sequence[NodeProto], outputs: Sequence[str], **constants: Any) -> ModelProto:
    from onnx import TensorProto, helper, numpy_helper

    def info(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 5])

    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        list(nodes), "conformance", [info("given")], [info(name) for name in outputs], initializers
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def _saved(model: ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
