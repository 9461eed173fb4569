"""Several passes over samples through one open model: growing statistics, or a summary of each sample."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError
from calibrant.core.progress import Progress
from calibrant.core.scratch import ScratchFolder
from calibrant.core.statistics import TensorStatistics
from calibrant.core.tasks import Task
from calibrant.core.types import Observer, Range, Runtime, Sample, Session, Statistics
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import upper_bounds
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.stages.collect import ANCHORING_SAMPLES, Recorder
from calibrant.stages.coverage.summary import TensorSummary, summary_of
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import drive


class Passes:
    """A model that is open for recording, for one pass after the other; made by :func:`open_passes`."""

    def __init__(
        self, model: Model, tensors: Sequence[str], task: Task, session: Session, board: _Board
    ) -> None:
        self._model, self._tensors, self._task = model, tuple(tensors), task
        self._session, self._board = session, board
        self._bounds = upper_bounds(model)

    def growing(
        self, samples: Sequence[Sample], sizes: Sequence[int], progress: Progress, title: str
    ) -> Iterator[Statistics]:
        """The statistics of the first n samples for each n of ``sizes`` (ascending), in one pass.

        Each is what stages.collect.collect gives for these samples alone: the first ones anchor the
        histograms. Raises NumericsError as it does.
        """
        with progress.stage(title, sizes[-1]) as advance:
            growth = _Growth(self._tensors, self._bounds)
            begun = 0
            for size in sizes:
                for _ in self._driven(samples[begun:size], growth, workers_of(self._session)):
                    advance()
                begun = size
                ids = tuple(sample.id for sample in samples[:size])
                yield Statistics(self._model.sha256, ids, growth.statistics())

    def summaries(
        self,
        samples: Sequence[Sample],
        ranges: Mapping[str, Sequence[Range]],
        progress: Progress,
        title: str,
    ) -> Iterator[dict[str, TensorSummary]]:
        """Each sample's tensors, in order; ``ranges`` are those to count values outside of.

        Raises NumericsError naming tensor and sample when an activation is NaN or infinite.
        """
        with progress.stage(title, len(samples)) as advance:
            for seen in in_order(partial(self._summarised, ranges), samples, workers_of(self._session)):
                yield seen
                advance()

    def _summarised(self, ranges: Mapping[str, Sequence[Range]], sample: Sample) -> dict[str, TensorSummary]:
        seen: dict[str, TensorSummary] = {}

        def observe(tensor: str, *parts: NDArray[np.float32]) -> None:
            try:
                seen[tensor] = summary_of(parts, ranges.get(tensor, ()))
            except NumericsError as error:
                raise NumericsError(
                    f"tensor {tensor!r} for sample {sample.id!r}: {error}; check the model in float"
                ) from error

        self._show(sample, observe)
        return seen

    def _driven(self, samples: Sequence[Sample], growth: _Growth, workers: int) -> Iterator[None]:
        """Add samples to the growth: one by one until it is anchored, then side by side."""
        begun = 0
        while begun < len(samples) and not growth.is_anchored:
            self._show(samples[begun], growth.beginning(samples[begun]))
            begun += 1
            yield
        rest = samples[begun:]
        if rest:
            recorder = growth.continued()

            def run(sample: Sample) -> None:
                recorder.begin(sample)
                self._show(sample, recorder.observe)

            yield from in_order(run, rest, workers)
            growth.add(recorder)

    def _show(self, sample: Sample, observe: Observer) -> None:
        self._board.connect(observe)
        drive(self._task, self._session, sample)


class _Board:
    """Hands what each thread's run shows to the observer that this thread has connected last."""

    def __init__(self) -> None:
        self._local = threading.local()

    def connect(self, observe: Observer) -> None:
        self._local.observe = observe

    def observe(self, tensor: str, *parts: NDArray[np.float32]) -> None:
        self._local.observe(tensor, *parts)


class _Growth:
    """Statistics that grow: a recorder that is anchored sample by sample, then one for each stretch."""

    def __init__(self, tensors: Sequence[str], bounds: Mapping[str, float]) -> None:
        self._tensors, self._bounds = tensors, bounds
        self._first = Recorder(tensors, bounds)
        self._begun = 0
        self._grown: dict[str, TensorStatistics] | None = None

    @property
    def is_anchored(self) -> bool:
        return self._grown is not None or self._first.is_anchored or self._begun >= ANCHORING_SAMPLES

    def beginning(self, sample: Sample) -> Observer:
        """The observer of a sample that may anchor tensors."""
        self._begun += 1
        self._first.begin(sample)
        return self._first.observe

    def continued(self) -> Recorder:
        """A recorder for more samples, with the first samples' anchors."""
        return Recorder(self._tensors, self._bounds, self._first.fix_anchors())

    def add(self, recorder: Recorder) -> None:
        """Take over what a recorder of :meth:`continued` has seen."""
        seen = recorder.statistics()
        so_far = self.statistics()
        self._grown = {tensor: so_far[tensor].merge(seen[tensor]) for tensor in self._tensors}

    def statistics(self) -> dict[str, TensorStatistics]:
        return dict(self._grown) if self._grown is not None else self._first.statistics()


@contextmanager
def open_passes(model: Model, tensors: Sequence[str], task: Task, runtime: Runtime) -> Iterator[Passes]:
    """Open a float model once, with ``tensors`` to be recorded, for several passes over samples.

    Raises RuntimeFailedError.
    """
    board = _Board()
    with ScratchFolder() as folder:
        probed = folder / model.path.name  # which a runtime names when it refuses
        save_beside_weights(with_outputs(model, tensors), probed)
        with runtime.record(probed, tensors, board.observe) as session:
            yield Passes(model, tensors, task, session, board)
