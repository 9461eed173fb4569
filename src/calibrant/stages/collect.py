"""One streaming pass over the calibration samples: model in, statistics of its activations out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.machine import return_freed_memory
from calibrant.core.progress import Advance, Progress, Silent
from calibrant.core.scratch import ScratchFolder
from calibrant.core.statistics import Accumulator, TensorStatistics
from calibrant.core.tasks import MODEL, Task
from calibrant.core.types import Feeds, Runtime, Sample, Session, Statistics
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import upper_bounds
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import WatchedSession

# A tensor is anchored by the first sample in which it is not all zero. Until every tensor is, samples run one
# after the other, but no more than these: a tensor that stays zero takes a fixed anchor.
ANCHORING_SAMPLES = 16


@dataclass(frozen=True)
class Observed:
    """A float model and the activations whose statistics are wanted of it."""

    model: Model
    tensors: Sequence[str]


def collect(
    model: Model,
    tensors: Sequence[str],
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    progress: Progress | None = None,
) -> Statistics:
    """Run the float model over ``samples``, in order, and gather the statistics of ``tensors``.

    Memory is one histogram a tensor, however many samples. The first samples anchor the histograms. Tensors
    that were empty for every sample have no statistics. Raises EmptyStatisticsError where all were, and
    NumericsError naming tensor and sample when an activation is NaN or infinite, or an output of the
    first run is NaN.
    """
    return collect_parts({MODEL: Observed(model, tensors)}, task, runtime, samples, progress)[MODEL]


def collect_parts(
    parts: Mapping[str, Observed],
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    progress: Progress | None = None,
) -> dict[str, Statistics]:
    """As :func:`collect` for all parts of a float model, in one run of the whole over ``samples``."""
    recorders = {part: Recorder(of.tensors, upper_bounds(of.model)) for part, of in parts.items()}

    def run(sample: Sample) -> None:
        for recorder in recorders.values():
            recorder.begin(sample)
        task.drive(watched, [sample])

    with (
        ThreadPoolExecutor(1) as background,
        ScratchFolder() as folder,
        ExitStack() as stack,
    ):
        background.submit(_load_kernels)
        sessions = {
            part: stack.enter_context(_recorded(of, recorders[part], runtime, folder / part))
            for part, of in parts.items()
        }
        watched = {
            part: WatchedSession(session, watch_outputs=recorders[part].check_first)
            for part, session in sessions.items()
        }
        with (progress or Silent()).stage("Calibrating", len(samples)) as advance:
            begun = anchored(tuple(recorders.values()), run, samples[:ANCHORING_SAMPLES], advance)
            for recorder in recorders.values():
                recorder.fix_anchors()
            workers = min(map(workers_of, sessions.values()))
            for _ in in_order(run, samples[begun:], workers):
                advance()
    ids = tuple(sample.id for sample in samples)
    return {
        part: Statistics(of.model.sha256, ids, require_any(of.tensors, recorders[part].seen()))
        for part, of in parts.items()
    }


def _recorded(observed: Observed, recorder: Recorder, runtime: Runtime, folder: Path) -> Session:
    folder.mkdir()
    probed = folder / observed.model.path.name  # which a runtime names when it refuses
    save_beside_weights(with_outputs(observed.model, observed.tensors), probed)
    return runtime.record(probed, observed.tensors, recorder.observe)


def anchored(
    recorders: Sequence[Recorder],
    run: Callable[[Sample], object],
    samples: Sequence[Sample],
    advance: Advance = lambda: None,
) -> int:
    """Run samples one after the other until every tensor is anchored, and say how many that took."""
    begun = 0
    while begun < len(samples) and not all(recorder.is_anchored for recorder in recorders):
        run(samples[begun])
        advance()
        begun += 1
    return_freed_memory()  # 46 to 84 MiB after opening and the first run (ADR 14)
    return begun


def require_all(tensors: Sequence[str], seen: Mapping[str, TensorStatistics]) -> dict[str, TensorStatistics]:
    """The statistics in the tensors' order. Raises EmptyStatisticsError when one was never seen."""
    missing = [tensor for tensor in tensors if tensor not in seen]
    if missing:
        raise EmptyStatisticsError(
            f"{len(missing)} tensors were never seen, e.g. {missing[0]!r}; calibrate with at least one sample"
        )
    return {tensor: seen[tensor] for tensor in tensors}


def require_any(tensors: Sequence[str], seen: Mapping[str, TensorStatistics]) -> dict[str, TensorStatistics]:
    """The statistics there are, in the tensors' order. Raises EmptyStatisticsError where there is none."""
    found = [tensor for tensor in tensors if tensor in seen]
    if tensors and not found:
        require_all(tensors, seen)
    return {tensor: seen[tensor] for tensor in found}


def _load_kernels() -> None:
    """Load what accumulators need; where that is numba, compiling takes seconds the first time."""
    warm_up = Accumulator(anchor=1.0)
    warm_up.observe(np.full(1, 2, np.float32))


class Recorder:
    """Accumulates activations from several threads: a set of accumulators a thread, merged at the end.

    Merging is exact because every set has the first sample's anchors. bounds: the limit that some tensors
    approach. Within a rounding of it a value is taken to be the limit: ONNX Runtime's Sigmoid gives
    1 - 2**-23 or 1 + 2**-23 where TensorRT's gives 1, and either moves every bin of a histogram.
    anchors: given to continue what another recorder began.
    """

    def __init__(
        self,
        tensors: Sequence[str],
        bounds: Mapping[str, float] = MappingProxyType({}),
        anchors: Mapping[str, float] | None = None,
    ) -> None:
        self._tensors, self._bounds = tuple(tensors), bounds
        self._first = {tensor: Accumulator() for tensor in tensors}
        self._anchors = anchors
        self._banks = [self._first]
        self._local = threading.local()
        self._has_checked = False

    def begin(self, sample: Sample) -> None:
        """Say whose activations this thread will show next."""
        self._local.sample = sample
        if not hasattr(self._local, "bank"):
            self._local.bank = self._new_bank()

    def observe(self, tensor: str, *parts: NDArray[np.float32]) -> None:
        """Add one tensor of this thread's sample."""
        if tensor in self._bounds:
            parts = tuple(_saturated(self._bounds[tensor], part) for part in parts)
        try:
            self._local.bank[tensor].observe(*parts)
        except NumericsError as error:
            raise self._blamed_on(tensor, error) from error

    def check_first(self, outputs: Feeds) -> None:
        """Require numbers of the first run's outputs; looking at later ones would cost a run."""
        if self._has_checked:
            return
        self._has_checked = True
        for tensor, values in outputs.items():
            try:
                _require_numbers(values)
            except NumericsError as error:
                raise self._blamed_on(tensor, error) from error

    @property
    def is_anchored(self) -> bool:
        """Whether every tensor has been seen with a value other than zero."""
        return all(found.is_anchored for found in self._first.values())

    def fix_anchors(self) -> Mapping[str, float]:
        """Take the anchors of what was seen so far, by one thread, and return them."""
        self._anchors = {tensor: found.fix_anchor() for tensor, found in self._first.items()}
        return self._anchors

    def statistics(self) -> dict[str, TensorStatistics]:
        """All threads' statistics merged, by tensor."""
        return require_all(self._tensors, self.seen())

    def seen(self) -> dict[str, TensorStatistics]:
        """All threads' statistics merged, of the tensors that had values."""
        found = {}
        for tensor in self._tensors:
            parts = [bank[tensor].statistics() for bank in self._banks if bank[tensor].has_values]
            if parts:
                found[tensor] = reduce(TensorStatistics.merge, parts)
        return found

    def _blamed_on(self, tensor: str, error: NumericsError) -> NumericsError:
        return NumericsError(
            f"tensor {tensor!r} for sample {self._local.sample.id!r}: {error}; "
            "check the model in float and the input profile (calibrant inspect)"
        )

    def _new_bank(self) -> dict[str, Accumulator]:
        if self._anchors is None:
            return self._first
        bank = {tensor: Accumulator(anchor) for tensor, anchor in self._anchors.items()}
        self._banks.append(bank)
        return bank


def _saturated(bound: float, values: NDArray[np.float32]) -> NDArray[np.float32]:
    nearly = np.float32(bound * (1 - np.finfo(np.float32).eps))
    if values.max(initial=0) < nearly:
        return values
    return np.where(values >= nearly, np.float32(bound), values)


def _require_numbers(values: NDArray[np.generic]) -> None:
    if values.dtype.kind == "f" and values.size and np.isnan(np.min(values)):
        raise NumericsError(f"{int(np.isnan(values).sum())} of {values.size} values are NaN")
