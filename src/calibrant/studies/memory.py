"""What a study takes of memory, known before it begins, and as many runs at once as fit.

The estimate is an upper bound in the large: the process as it is, the weights as a runtime copies them, for
every run at once its activations and a set of histograms, and for every test sample what all models predict.
docs/robustness.md holds it against what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from calibrant.core.errors import SettingsError
from calibrant.core.histogram import BINS
from calibrant.core.machine import memory_limit, resident_bytes
from calibrant.core.progress import Progress
from calibrant.core.sizes import bytes_in, format_bytes
from calibrant.core.types import Runtime
from calibrant.models.onnx.memory import footprint
from calibrant.studies.run import Study

SHARE = 80
"""Percent of what the machine or its cgroup allows that a study takes when nothing else is said."""

_RUNTIMES = 250 * 10**6  # compiled loops, the runtime's library and its threads
_WEIGHT_COPIES = 4  # the file, the runtime's own, those it packs anew, and those of the faster session
_ACTIVATION_COPIES = 2  # an arena that grows by doubling
_RESAMPLING_BYTES = 1001 * 8 * 2  # how often each sample is drawn in each resample, as a table and sorted
_OBJECT_BYTES = 2000  # a sample, its labels and its arrays' heads


@runtime_checkable
class ParallelRuntime(Runtime, Protocol):
    """A runtime that runs several samples at once, as many as it is told."""

    @property
    def workers(self) -> int:
        """How many runs are under way at once."""
        ...

    def with_workers(self, workers: int) -> Runtime:
        """The same runtime with another number of them."""
        ...


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a study takes whatever it is told, and for each run at once."""

    fixed: int
    per_worker: int

    def workers_within(self, limit: int) -> int:
        """How many runs at once fit; 0: not even one."""
        return max(0, (limit - self.fixed) // max(1, self.per_worker))


def allowed_bytes(text: str | None) -> int | None:
    """What ``--max-memory`` means: a size, or a share of what is allowed (None: 80 %).

    None where nothing tells how much there is. Raises SettingsError for anything else.
    """
    whole = memory_limit()
    if text is None:
        return None if whole is None else bytes_in(f"{SHARE}%", whole)
    found = bytes_in(text, whole)
    if not found:
        raise SettingsError(f"{text!r} is no amount of memory; give e.g. 4GB, 800MB or 50%")
    return found


def memory_need(study: Study) -> MemoryNeed:
    """An estimate for all of a study's stages, in this process."""
    size = footprint(study.plan.model)
    models = len(study.calibrators) + 1
    per_sample = _OBJECT_BYTES + models * study.task.prediction_bytes + _RESAMPLING_BYTES
    samples = len(study.test) * per_sample + len(study.calibration) * _OBJECT_BYTES
    fixed = resident_bytes() + _RUNTIMES + _WEIGHT_COPIES * size.weights + samples
    histograms = len(study.plan.tensors) * BINS * 8
    largest = max((study.task.memory(sample) for sample in study.test), default=0)
    per_worker = max(_ACTIVATION_COPIES * size.live, size.total) + histograms + largest
    return MemoryNeed(fixed, per_worker)


def within_memory(study: Study, limit: int | None, progress: Progress) -> Study:
    """The study with as many runs at once as ``limit`` (bytes; None: no limit) has room for.

    Raises SettingsError, before any work, where there is no room for one.
    """
    if limit is None:
        return study
    need = memory_need(study)
    fitting = need.workers_within(limit)
    if fitting < 1:
        raise SettingsError(
            f"the study takes about {format_bytes(need.fixed + need.per_worker)} and may have "
            f"{format_bytes(limit)}; allow more with --max-memory, or use fewer {study.task.words.samples} "
            "(--limit) or a "
            "smaller input (--input-shape)"
        )
    wanted = max((runtime.workers for runtime in _parallel(study)), default=1)
    if fitting < wanted:
        progress.note(f"{fitting} of {wanted} runs at once, to stay within {format_bytes(limit)}")
    return replace(
        study, runtime=_limited(study.runtime, fitting), collector=_limited(study.collector, fitting)
    )


def _parallel(study: Study) -> list[ParallelRuntime]:
    return [runtime for runtime in (study.runtime, study.collector) if isinstance(runtime, ParallelRuntime)]


def _limited(runtime: Runtime, workers: int) -> Runtime:
    if not isinstance(runtime, ParallelRuntime) or runtime.workers <= workers:
        return runtime
    return runtime.with_workers(workers)
