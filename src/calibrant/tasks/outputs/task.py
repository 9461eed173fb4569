"""Driving any model: what its samples hold goes in, and what comes out is not read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from calibrant.core.errors import SettingsError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import MODEL, Task, Words
from calibrant.core.types import Feeds, Session
from calibrant.tasks.outputs.samples import FeedSample

NAME = "outputs"
WORDS = Words("sample", "samples", "label", "labels")
METRIC = Metric("sqnr", "SQNR", "dB", scale=1.0)


class OutputsTask(Task):
    """Runs a model on each sample as it is. Its outputs are compared with the float model's, never scored."""

    name = NAME
    words = WORDS

    @property
    def metric(self) -> Metric:
        """How near outputs are to others, in dB."""
        return METRIC

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[FeedSample]) -> Sequence[Feeds]:
        """Run the model once for each sample. Raises DataError or ImageError for one that cannot be read."""
        return [sessions[MODEL].run(sample.feeds()) for sample in samples]

    def interpret(self, raw: Feeds, sample: FeedSample) -> Feeds:  # noqa: ARG002
        """A copy of the outputs."""
        return {name: np.array(values) for name, values in raw.items()}

    def score(self, samples: Sequence[FeedSample], predictions: Sequence[Feeds]) -> Score:
        """Raises SettingsError: there are no labels."""
        raise SettingsError(
            f"{len(predictions)} of {len(samples)} samples were run, and none has labels to rank models by; "
            "use calibrant calibrate, or name the model's task with --task"
        )

    def agreement(self, reference: Sequence[Feeds], found: Sequence[Feeds]) -> float:
        """1 less the noise's share of the power of all float outputs, 0..1."""
        signal = noise = 0.0
        for one, other in zip(reference, found, strict=True):
            for name, values in one.items():
                if values.dtype.kind == "f":
                    signal += float(np.square(values, dtype=np.float64).sum())
                    noise += float(np.square(values.astype(np.float64) - other[name]).sum())
        return max(0.0, 1.0 - noise / signal) if signal else float(noise == 0)

    def digest(self, sample: FeedSample) -> bytes:
        """A hash of a sample's inputs."""
        found = hashlib.sha256()
        for name, values in sorted(sample.feeds().items()):
            found.update(f"{name} {values.dtype} {values.shape}".encode())
            found.update(np.ascontiguousarray(values).data)
        return found.digest()
