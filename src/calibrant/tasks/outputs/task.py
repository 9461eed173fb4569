"""Any model: what its samples hold goes in, and what comes out is held against the float model's outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.metrics import Metric, Score
from calibrant.core.tasks import Evaluated, Look, Task, Words, sole
from calibrant.core.types import Feeds, Session
from calibrant.tasks.media.appearance import appearance_of
from calibrant.tasks.outputs.differences import OutputsDifferences, differences_between
from calibrant.tasks.outputs.errors import OUTPUT_ERROR, OutputNoise, evidence_of, noise_of, ratios, score_of
from calibrant.tasks.outputs.samples import FeedSample

NAME = "outputs"
WORDS = Words("sample", "samples", "label", "labels")


class OutputsTask(Task):
    """Runs a model on each sample as it is. Its outputs are compared with the float model's."""

    name = NAME
    words = WORDS
    needs_reference = True

    def __init__(self) -> None:
        self._reference: Mapping[str, Feeds] = {}

    @property
    def metric(self) -> Metric:
        """How far outputs are from the float model's."""
        return OUTPUT_ERROR

    def referring_to(self, samples: Sequence[FeedSample], predictions: Sequence[Feeds]) -> Self:
        """The same task, knowing the float model's outputs."""
        task = copy(self)
        task._reference = {sample.id: found for sample, found in zip(samples, predictions, strict=True)}
        return task

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[FeedSample]) -> Sequence[Feeds]:
        """Run the model once for each sample. Raises DataError or ImageError for one that cannot be read."""
        return [sole(sessions).run(sample.feeds()) for sample in samples]

    def interpret(self, raw: Feeds, sample: FeedSample) -> Feeds:
        """A copy of the outputs."""
        del sample
        return {name: np.array(values) for name, values in raw.items()}

    def score(self, samples: Sequence[FeedSample], predictions: Sequence[Feeds]) -> Score:
        """The output error. Raises SettingsError where the float model's outputs are not known."""
        return score_of(self._references(samples), predictions)

    def evidence(self, samples: Sequence[FeedSample], predictions: Sequence[Feeds]) -> OutputNoise:
        """The evidence of that score alone."""
        return evidence_of(self._references(samples), predictions)

    def agreement(self, reference: Sequence[Feeds], found: Sequence[Feeds]) -> float:
        """One less the mean error of outputs and samples, each at most 1."""
        errors = [
            np.minimum(ratios(*(np.array(part) for part in noise_of(ours, theirs))), 1.0)
            for ours, theirs in zip(reference, found, strict=True)
        ]
        return 1 - float(np.mean(errors)) if errors else 1.0

    def pack(self, predictions: Sequence[Feeds]) -> Mapping[str, NDArray[Any]]:
        """Each output of each sample, by number and name."""
        return {
            f"{index} {name}": values
            for index, found in enumerate(predictions)
            for name, values in found.items()
        }

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Feeds]:
        """The outputs that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        found: dict[int, dict[str, NDArray[Any]]] = {}
        for key, values in arrays.items():
            if values.dtype.kind not in "biuf":
                raise ValueError(f"{key} holds no numbers")
            number, _, name = key.partition(" ")
            found.setdefault(int(number), {})[name] = values
        return [found[index] for index in range(len(found))]

    def digest(self, sample: FeedSample) -> bytes:
        """A hash of a sample's inputs."""
        found = hashlib.sha256()
        for name, values in sorted(sample.feeds().items()):
            found.update(f"{name} {values.dtype} {values.shape}".encode())
            found.update(np.ascontiguousarray(values).data)
        return found.digest()

    def differences(
        self, calibrator: str, samples: Sequence[FeedSample], reference: Evaluated, found: Evaluated
    ) -> OutputsDifferences:
        """Which outputs and samples change most."""
        ids = [sample.id for sample in samples]
        return differences_between(calibrator, ids, reference.predictions, found.predictions)

    def describe(self, sample: FeedSample, prediction: Feeds | None = None) -> Look | None:
        """The brightness of an image; None for arrays. Raises ImageError."""
        del prediction
        if sample.path is None:
            return None
        looks = appearance_of(sample.path)
        return Look({("brightness", looks.band): 1}, looks.hash)

    def _references(self, samples: Sequence[FeedSample]) -> list[Feeds]:
        try:
            return [self._reference[sample.id] for sample in samples]
        except KeyError as error:
            raise SettingsError(
                f"sample {error} has neither labels nor the float model's outputs to rank models by; use "
                "calibrant study, or name the model's task with --task"
            ) from error
