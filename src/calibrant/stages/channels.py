"""What each channel of an activation reaches, and on which sample: outlier channels show here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.types import Feeds, FloatArray, Runtime, Sample, Session, Task
from calibrant.graph.model import Model, save_model
from calibrant.graph.reductions import ChannelOutputs, with_channel_reductions
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import WatchedSession


@dataclass(frozen=True)
class ChannelStatistics:
    """One tensor by channel, over all samples: arrays of shape (C,), real units.

    low, high: the smallest and largest value. mean: of all values. typical_amax: the mean over samples of the
    largest magnitude in each, which a single strange image moves little. peak_samples: for each channel the
    id of the first sample in which its largest magnitude occurred. sample_amax, (samples,): the largest
    magnitude in each sample, over all channels.
    """

    low: FloatArray
    high: FloatArray
    mean: FloatArray
    typical_amax: FloatArray
    peak_samples: tuple[str, ...]
    sample_amax: FloatArray

    @property
    def amax(self) -> FloatArray:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def channel_statistics(
    model: Model,
    tensors: Sequence[str],
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    progress: Progress | None = None,
) -> dict[str, ChannelStatistics]:
    """Run the float model over ``samples`` and gather what every channel of ``tensors`` reaches.

    Memory is a few numbers a channel, however many samples; the result does not depend on the number of
    threads. Raises EmptyStatisticsError without samples, SettingsError for a tensor without channels, and
    NumericsError naming tensor and sample when a value is NaN or infinite.
    """
    if not samples:
        raise EmptyStatisticsError("channels were never seen; calibrate with at least one sample")
    reduced, outputs = with_channel_reductions(model, tensors)
    gathered = {tensor: _Gathered() for tensor in outputs}
    with tempfile.TemporaryDirectory(prefix="calibrant-") as folder:
        probed = Path(folder) / model.path.name  # which a runtime names when it refuses
        save_model(reduced, probed)
        with (
            runtime.open(probed) as session,
            (progress or Silent()).stage("Looking at channels", len(samples)) as advance,
        ):
            runs = in_order(lambda sample: _runs(session, task, sample), samples, workers_of(session))
            for sample, seen in zip(samples, runs, strict=True):
                for tensor, names in outputs.items():
                    _add(gathered[tensor], tensor, sample.id, names, seen)
                advance()
    return {tensor: found.statistics() for tensor, found in gathered.items()}


def _runs(session: Session, task: Task, sample: Sample) -> list[Feeds]:
    """The outputs of every run that the task needs for one sample."""
    seen: list[Feeds] = []
    task.drive(WatchedSession(session, watch_outputs=seen.append), sample)
    return seen


def _add(
    gathered: _Gathered, tensor: str, sample_id: str, names: ChannelOutputs, runs: Sequence[Feeds]
) -> None:
    high, low, mean = (
        np.stack([np.asarray(run[name], np.float32) for run in runs])
        for name in (names.high, names.low, names.mean)
    )
    # A maximum may leave a NaN out; a mean never does.
    if not all(np.isfinite(found).all() for found in (high, low, mean)):
        raise NumericsError(
            f"tensor {tensor!r} for sample {sample_id!r}: values are NaN or infinite; "
            "check the model in float and the input profile (calibrant inspect)"
        )
    gathered.add(sample_id, low.min(axis=0), high.max(axis=0), mean.mean(axis=0, dtype=np.float64))


class _Gathered:
    """One tensor's channels, sample by sample."""

    def __init__(self) -> None:
        self._samples: list[str] = []
        self._sample_amax: list[float] = []
        self._arrays: dict[str, NDArray[np.float64]] = {}
        self._peaks: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, sample_id: str, low: FloatArray, high: FloatArray, mean: NDArray[np.float64]) -> None:
        magnitude = np.maximum(np.abs(low), np.abs(high)).astype(np.float64)
        seen = {"low": low.astype(np.float64), "high": high.astype(np.float64), "amax": magnitude}
        if not self._samples:
            self._arrays = {**seen, "mean": mean, "sum": magnitude.copy()}
            self._peaks = np.zeros(magnitude.shape, np.int64)
        else:
            self._peaks[magnitude > self._arrays["amax"]] = len(self._samples)
            self._arrays = {
                "low": np.minimum(self._arrays["low"], seen["low"]),
                "high": np.maximum(self._arrays["high"], seen["high"]),
                "amax": np.maximum(self._arrays["amax"], magnitude),
                "mean": self._arrays["mean"] + mean,
                "sum": self._arrays["sum"] + magnitude,
            }
        self._samples.append(sample_id)
        self._sample_amax.append(float(magnitude.max(initial=0.0)))

    def statistics(self) -> ChannelStatistics:
        count = len(self._samples)
        low, high = (self._arrays[name].astype(np.float32) for name in ("low", "high"))
        mean, typical = ((self._arrays[name] / count).astype(np.float32) for name in ("mean", "sum"))
        peak_samples = tuple(self._samples[i] for i in self._peaks)
        return ChannelStatistics(
            low, high, mean, typical, peak_samples, np.asarray(self._sample_amax, np.float32)
        )
