"""Collecting in shards: the first samples anchor the histograms, then any process counts any samples."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.closing import ClosesOnExit
from calibrant.core.executor import Executor, completed
from calibrant.core.progress import Advance, Progress
from calibrant.core.statistics import TensorStatistics
from calibrant.core.tasks import Task
from calibrant.core.types import FloatArray, Observer, Sample, Statistics
from calibrant.models.onnx.model import Model, save_model
from calibrant.models.onnx.points import upper_bounds
from calibrant.models.onnx.probe import with_outputs
from calibrant.runtimes import on_one_core, runtime_named
from calibrant.stages.collect import ANCHORING_SAMPLES, Recorder, anchored, require_any
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.remote.files import KEPT_OPEN, NamedFile, NamedSamples, shards_of
from calibrant.stages.remote.packing import PackedStatistics
from calibrant.stages.sessions import WatchedSession, drive


@dataclass(frozen=True, eq=False)
class Collection:
    """What a collection's shards share: the model with its activations among the outputs, and how it runs.

    ``first`` is the whole collection's first sample. The fused probe of ONNX Runtime is fitted to it in every
    process, as in one.
    """

    model: NamedFile
    tensors: tuple[str, ...]
    bounds: Mapping[str, float]
    runtime: str
    task: Task
    first: Sample


@dataclass(frozen=True)
class Counted:
    """A shard's statistics, of tensors that had values, and the anchors they hang on."""

    statistics: PackedStatistics
    anchors: Mapping[str, float]
    samples: int


@dataclass(frozen=True, eq=False)
class FirstShard:
    """Samples one after the other until every tensor is anchored."""

    collection: Collection
    samples: NamedSamples
    gpus: int = 0

    def __call__(self) -> Counted:
        """Count as many of the samples as anchoring takes."""
        KEPT_OPEN.close()  # the first run of a session is also looked at for NaN
        probe, collection = _probe_of(self.collection), self.collection
        recorder = Recorder(collection.tensors, collection.bounds)
        with probe.showing(recorder.observe):
            watched = WatchedSession(probe.session, watch_outputs=recorder.check_first)

            def run(sample: Sample) -> None:
                recorder.begin(sample)
                drive(collection.task, watched, sample)

            begun = anchored((recorder,), run, self.samples.checked(collection.task))
        return _counted(recorder, recorder.fix_anchors(), begun)


@dataclass(frozen=True, eq=False)
class LaterShard:
    """Samples that are counted in bins that are fixed."""

    collection: Collection
    samples: NamedSamples
    anchors: Mapping[str, float]
    gpus: int = 0

    def __call__(self) -> Counted:
        """Count all samples."""
        probe, collection = _probe_of(self.collection, is_first=False), self.collection
        recorder = Recorder(collection.tensors, collection.bounds, self.anchors)

        def run(sample: Sample) -> None:
            recorder.begin(sample)
            drive(collection.task, probe.session, sample)

        with probe.showing(recorder.observe):
            for _ in in_order(run, self.samples.checked(collection.task), workers_of(probe.session)):
                pass
        return _counted(recorder, self.anchors, len(self.samples))


def collect_by(
    executor: Executor,
    model: Model,
    tensors: Sequence[str],
    task: Task,
    runtime: str,
    samples: Sequence[Sample],
    folder: Path,
    progress: Progress,
) -> Statistics:
    """What stages.collect.collect gives, to the bit, counted by the executor's processes.

    runtime: as users name it. folder: where the workers can read, too. Raises as collect.
    """
    with (
        _collection(model, tensors, task, runtime, samples[0], folder) as collection,
        progress.stage("Calibrating", len(samples)) as advance,
    ):
        named = NamedSamples.of(samples, task)
        first = FirstShard(collection, named.at(range(min(len(named), ANCHORING_SAMPLES))))
        counted: Counted = executor.submit(first).result()
        merged = _merged({}, counted, advance)
        shards = [
            LaterShard(collection, named.at(part), counted.anchors)
            for part in shards_of(range(counted.samples, len(named)))
        ]
        for _, found in completed(executor, shards):
            merged = _merged(merged, found, advance)
    return Statistics(model.sha256, tuple(sample.id for sample in samples), require_any(tensors, merged))


class _Probe(ClosesOnExit):
    """An open recording session, whose values go to one recorder after the other."""

    def __init__(self, collection: Collection) -> None:
        self._observe: Observer | None = None
        path, runtime = collection.model.checked(), runtime_named(on_one_core(collection.runtime))
        self.session = runtime.record(path, collection.tensors, self._show)

    @contextmanager
    def showing(self, observe: Observer) -> Iterator[None]:
        """Show values to ``observe`` meanwhile."""
        self._observe = observe
        try:
            yield
        finally:
            self._observe = None

    def close(self) -> None:
        """Close the session."""
        self.session.close()

    def _show(self, tensor: str, *parts: FloatArray) -> None:
        if self._observe is not None:
            self._observe(tensor, *parts)


def _probe_of(collection: Collection, *, is_first: bool = True) -> _Probe:
    """The probe of this process; opened for a later shard it has run the collection's first sample."""

    def opened() -> _Probe:
        probe = _Probe(collection)
        if not is_first:
            drive(collection.task, probe.session, collection.first)
        return probe

    return KEPT_OPEN.get((collection.model, collection.tensors, collection.runtime), opened)


@contextmanager
def _collection(
    model: Model, tensors: Sequence[str], task: Task, runtime: str, first: Sample, folder: Path
) -> Iterator[Collection]:
    with tempfile.TemporaryDirectory(prefix=".collecting-", dir=folder) as place:
        probed = Path(place) / model.path.name
        save_model(with_outputs(model, tensors), probed)
        yield Collection(NamedFile.of(probed), tuple(tensors), upper_bounds(model), runtime, task, first)


def _counted(recorder: Recorder, anchors: Mapping[str, float], samples: int) -> Counted:
    return Counted(PackedStatistics.of(recorder.seen()), dict(anchors), samples)


def _merged(
    merged: Mapping[str, TensorStatistics], counted: Counted, advance: Advance
) -> dict[str, TensorStatistics]:
    found = counted.statistics.unpacked()
    for _ in range(counted.samples):
        advance()
    return {
        **merged,
        **{name: merged[name].merge(own) if name in merged else own for name, own in found.items()},
    }
