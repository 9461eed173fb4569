"""One streaming pass over the calibration samples: model in, statistics of its activations out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.statistics import Accumulator
from calibrant.core.types import Runtime, Sample, Statistics, Task
from calibrant.graph.model import Model, save_model
from calibrant.graph.probe import with_outputs


def collect(
    model: Model,
    tensors: Sequence[str],
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    progress: Progress | None = None,
) -> Statistics:
    """Run the float model over ``samples``, in order, and gather the statistics of ``tensors``.

    Memory is one histogram a tensor, however many samples. The first sample anchors the histograms.
    Raises NumericsError naming tensor and sample when an activation is NaN or infinite.
    """
    accumulators = {tensor: Accumulator() for tensor in tensors}
    current = ""

    def observe(tensor: str, values: NDArray[np.float32]) -> None:
        try:
            accumulators[tensor].observe(values)
        except NumericsError as error:
            raise NumericsError(
                f"tensor {tensor!r} for sample {current!r}: {error}; "
                "check the model in float and the input profile (calibrant inspect)"
            ) from error

    with tempfile.TemporaryDirectory(prefix="calibrant-") as folder:
        probed = Path(folder) / "probed.onnx"
        save_model(with_outputs(model, tensors), probed)
        with (
            runtime.record(probed, tensors, observe) as session,
            (progress or Silent()).stage("Calibrating", len(samples)) as advance,
        ):
            for sample in samples:
                current = sample.id
                task.drive(session, sample)
                advance()
    ids = tuple(sample.id for sample in samples)
    return Statistics(
        model.sha256, ids, {tensor: found.statistics() for tensor, found in accumulators.items()}
    )
