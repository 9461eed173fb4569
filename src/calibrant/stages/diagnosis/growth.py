"""Where along the network a quantized model's activations leave the float model's."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from calibrant.core.tasks import Task
from calibrant.core.types import Feeds, FloatArray, Runtime, Sample, Session
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.probe import with_outputs
from calibrant.models.onnx.shared_weights import save_beside_weights
from calibrant.stages.sessions import WatchedSession, drive

# Values that fit the processor's cache in float64.
_PIECE = 2**15


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
    Where rounding changes how long a tensor is, as the sound of a voice that speaks faster, there is nothing
    to compare, and the run counts nothing. Memory is that of one sample's activations, twice. folder: for the
    probed models.
    """
    powers = {tensor: np.zeros(2) for tensor in tensors}
    with ExitStack() as opened, ThreadPoolExecutor(2) as both:
        sessions = [
            opened.enter_context(_probed(model, tensors, runtime, folder / f"probed-{index}.onnx"))
            for index, model in enumerate((float_model, quantized))
        ]
        for sample in samples:
            runs = zip(*both.map(partial(_runs, task, sample), sessions), strict=False)
            for true, rounded in runs:
                for tensor, power in powers.items():
                    if true[tensor].shape == rounded[tensor].shape:
                        power += signal_and_noise(true[tensor], rounded[tensor])
    return {tensor: (float(signal), float(noise)) for tensor, (signal, noise) in powers.items()}


def _probed(model: Model, tensors: Sequence[str], runtime: Runtime, path: Path) -> Session:
    save_beside_weights(with_outputs(model, tensors), path)
    return runtime.open(path)


def _runs(task: Task, sample: Sample, session: Session) -> list[Feeds]:
    seen: list[Feeds] = []
    drive(task, WatchedSession(session, watch_outputs=seen.append), sample)
    return seen


def signal_and_noise(true: FloatArray, rounded: FloatArray) -> tuple[float, float]:
    """Sums of squares of an array and of what another differs from it: in float64, piece by piece."""
    one, other, signal, noise = true.ravel(), rounded.ravel(), 0.0, 0.0
    for start in range(0, one.size, _PIECE):
        values = one[start : start + _PIECE].astype(np.float64)
        difference = other[start : start + _PIECE] - values
        signal += float(values @ values)
        noise += float(difference @ difference)
    return signal, noise
