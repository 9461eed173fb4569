"""How what convolutions read moves together: mean and covariance of their windows, from calibration."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.progress import Progress, Silent
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import Task
from calibrant.core.types import Feeds, Runtime, Sample
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.models.onnx.transforms.rounding import Moments
from calibrant.models.onnx.transforms.windows import Window, windows_of
from calibrant.stages.parallel import in_order, workers_of
from calibrant.stages.sessions import WatchedSession, drive

# Covariances of outputs that read more would take more than 40 MB each.
MOST_WEIGHTS = 2304
SAMPLES, PLACES = 32, 128


def second_moments(
    model: Model,
    nodes: Collection[str],
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    progress: Progress | None = None,
) -> dict[str, Moments]:
    """Mean and covariance of what the convolutions ``nodes`` read, at PLACES places of SAMPLES samples.

    Those of more than MOST_WEIGHTS weights an output are left out. The same samples give the same result,
    however many threads.
    """
    windows = windows_of(model, nodes, MOST_WEIGHTS)
    chosen = samples[:SAMPLES]
    gathered = {window.node: _Gathered() for window in windows}
    with ScratchFolder() as folder:
        probed = folder / model.path.name  # which a runtime names when it refuses
        save_beside_weights(with_outputs(model, [window.tensor for window in windows]), probed)
        with (
            runtime.open(probed) as session,
            (progress or Silent()).stage("Looking at what moves together", len(chosen)) as advance,
        ):

            def read(numbered: tuple[int, Sample]) -> list[NDArray[np.float32]]:
                number, sample = numbered
                seen: dict[str, NDArray[Any]] = {}
                watched = WatchedSession(session, seen.update, seen.update)
                drive(task, watched, sample)
                return [_read(window, seen, number) for window in windows]

            for found in in_order(read, [*enumerate(chosen)], workers_of(session)):
                for window, values in zip(windows, found, strict=True):
                    gathered[window.node].add(values)
                advance()
    return {node: found.moments() for node, found in gathered.items()}


def _read(window: Window, seen: Feeds, number: int) -> NDArray[np.float32]:
    return window.read(np.asarray(seen[window.tensor], np.float32), PLACES, seed=number)


class _Gathered:
    """One convolution's windows, sample by sample."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: NDArray[np.float64] = np.zeros(())
        self._products: NDArray[np.float64] = np.zeros(())

    def add(self, values: NDArray[np.float32]) -> None:
        grouped = values.transpose(1, 0, 2)  # (groups, places, K)
        self._count += len(values)
        self._sum = self._sum + grouped.sum(axis=1, dtype=np.float64)
        self._products = self._products + (grouped.transpose(0, 2, 1) @ grouped)

    def moments(self) -> Moments:
        mean = self._sum / self._count
        covariance = self._products / self._count - mean[:, :, None] * mean[:, None, :]
        return Moments(mean, covariance)
