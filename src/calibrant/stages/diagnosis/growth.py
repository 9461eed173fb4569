"""Where along the network a quantized model's activations leave the float model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from calibrant.core.tasks import Task
from calibrant.core.types import Feeds, Runtime, Sample, Session
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.stages.sessions import WatchedSession, drive


def noise_by_tensor(
    float_model: Model,
    quantized: Model,
    tensors: Sequence[str],
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    folder: Path,
) -> dict[str, tuple[float, float]]:
    """Run both models on ``samples`` and compare ``tensors``, which both compute under the same names.

    Gives the power of the float model's values and of the difference: sums of squares, real units squared.
    Memory is that of one sample's activations, twice. folder: for the probed models.
    """
    powers = {tensor: np.zeros(2) for tensor in tensors}
    with ExitStack() as opened:
        sessions = [
            opened.enter_context(_probed(model, tensors, runtime, folder / f"probed-{index}.onnx"))
            for index, model in enumerate((float_model, quantized))
        ]
        for sample in samples:
            runs = zip(*(_runs(session, task, sample) for session in sessions), strict=False)
            for true, rounded in runs:
                _add(powers, true, rounded)
    return {tensor: (float(signal), float(noise)) for tensor, (signal, noise) in powers.items()}


def _probed(model: Model, tensors: Sequence[str], runtime: Runtime, path: Path) -> Session:
    save_beside_weights(with_outputs(model, tensors), path)
    return runtime.open(path)


def _runs(session: Session, task: Task, sample: Sample) -> list[Feeds]:
    seen: list[Feeds] = []
    drive(task, WatchedSession(session, watch_outputs=seen.append), sample)
    return seen


def _add(powers: Mapping[str, np.ndarray], true: Feeds, rounded: Feeds) -> None:
    for tensor, power in powers.items():
        values = true[tensor].astype(np.float64)
        power += np.square(values).sum(), np.square(rounded[tensor] - values).sum()
