"""What each channel of an activation reaches, and on which sample: outlier channels show here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import EmptyStatisticsError, NumericsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import Task
from calibrant.core.types import Feeds, FloatArray, Runtime, Sample, Session
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.reductions import ChannelOutputs, with_channel_reductions
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import WatchedSession, drive

# The share of samples that may go beyond what is typical.
RARE = 0.025


@dataclass(frozen=True)
class ChannelStatistics:
    """One tensor by channel, over all samples: arrays of shape (C,), real units.

    low, high: the smallest and largest value. mean: of all values. typical_low, typical_high: what a channel
    stays within in all samples but the RARE ones that go lowest, and those that go highest. peak_samples: for
    each channel the id of the first sample in which its largest magnitude occurred. sample_amax, (samples,):
    the largest magnitude in each sample, over all channels.
    """

    low: FloatArray
    high: FloatArray
    mean: FloatArray
    typical_low: FloatArray
    typical_high: FloatArray
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

    Memory is a few numbers a channel for every hundred samples; the result does not depend on the number of
    threads. A tensor with as many "channels" as its sample is long has none, and is left out. Raises
    EmptyStatisticsError without samples, SettingsError for a tensor without channels, and NumericsError
    naming tensor and sample when a value is NaN or infinite.
    """
    if not samples:
        raise EmptyStatisticsError("channels were never seen; calibrate with at least one sample")
    reduced, outputs = with_channel_reductions(model, tensors)
    gathered = {tensor: _Gathered(len(samples)) for tensor in outputs}
    with ScratchFolder() as folder:
        probed = folder / model.path.name  # which a runtime names when it refuses
        save_beside_weights(reduced, probed)
        with (
            runtime.open(probed) as session,
            (progress or Silent()).stage("Looking at channels", len(samples)) as advance,
        ):
            runs = in_order(lambda sample: _runs(session, task, sample), samples, workers_of(session))
            for sample, seen in zip(samples, runs, strict=True):
                for tensor in list(gathered):
                    if not _added(gathered[tensor], tensor, sample.id, outputs[tensor], seen):
                        del gathered[tensor]
                advance()
    return {tensor: found.statistics() for tensor, found in gathered.items()}


def _runs(session: Session, task: Task, sample: Sample) -> list[Feeds]:
    """The outputs of every run that the task needs for one sample."""
    seen: list[Feeds] = []
    drive(task, WatchedSession(session, watch_outputs=seen.append), sample)
    return seen


def _added(
    gathered: _Gathered, tensor: str, sample_id: str, names: ChannelOutputs, runs: Sequence[Feeds]
) -> bool:
    """Whether a sample has as many channels as those before, and was added to them."""
    if len({run[names.high].shape for run in runs}) > 1:
        return False
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
    return gathered.add(sample_id, low.min(axis=0), high.max(axis=0), mean.mean(axis=0, dtype=np.float64))


class _Gathered:
    """One tensor's channels, sample by sample."""

    def __init__(self, count: int) -> None:
        self._rare = int(RARE * count)
        self._samples: list[str] = []
        self._sample_amax: list[float] = []
        # (kept, C), the furthest first.
        self._lows: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._highs: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._mean: NDArray[np.float64] = np.zeros(0)
        self._amax: FloatArray = np.zeros(0, np.float32)
        self._peaks: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, sample_id: str, low: FloatArray, high: FloatArray, mean: NDArray[np.float64]) -> bool:
        """Add a sample; False: it has another number of channels."""
        magnitude = np.maximum(np.abs(low), np.abs(high))
        if self._samples and magnitude.shape != self._amax.shape:
            return False
        if not self._samples:
            self._lows, self._highs = low[None], high[None]
            self._mean, self._amax = mean.copy(), magnitude
            self._peaks = np.zeros(magnitude.shape, np.int64)
        else:
            self._lows = _furthest(self._lows, low, self._rare)
            self._highs = -_furthest(-self._highs, -high, self._rare)
            self._peaks[magnitude > self._amax] = len(self._samples)
            self._mean, self._amax = self._mean + mean, np.maximum(self._amax, magnitude)
        self._samples.append(sample_id)
        self._sample_amax.append(float(magnitude.max(initial=0.0)))
        return True

    def statistics(self) -> ChannelStatistics:
        return ChannelStatistics(
            low=self._lows[0],
            high=self._highs[0],
            mean=(self._mean / len(self._samples)).astype(np.float32),
            typical_low=self._lows[-1],
            typical_high=self._highs[-1],
            peak_samples=tuple(self._samples[i] for i in self._peaks),
            sample_amax=np.asarray(self._sample_amax, np.float32),
        )


def _furthest(kept: FloatArray, found: FloatArray, rare: int) -> FloatArray:
    """The smallest values of each channel so far, (at most rare + 1, C), smallest first."""
    return np.sort(np.concatenate([kept, found[None]]), axis=0)[: rare + 1]
