"""The task of models without a task: they can be calibrated, as that needs neither labels nor a metric."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.core.tasks import AUTO, Reading, Recognition, SampleSet, TaskDefinition
from calibrant.core.types import ModelSignature
from calibrant.tasks.media.appearance import BRIGHTNESS_BANDS, SAME_PICTURE_BITS
from calibrant.tasks.media.calibration import calibration_samples, check_images
from calibrant.tasks.outputs.differences import OutputsDifferences
from calibrant.tasks.outputs.errors import OUTPUT_ERROR, OutputNoise
from calibrant.tasks.outputs.pictures import picture_input, picture_samples
from calibrant.tasks.outputs.samples import ARRAY_SUFFIXES, array_samples
from calibrant.tasks.outputs.task import NAME, WORDS, OutputsTask


class OutputsDefinition(TaskDefinition):
    """Any model, without labels."""

    name = NAME
    title = "any model, without labels: how far its outputs are from the float model's"
    words = WORDS
    data = ".npy or .npz arrays by the inputs' names, or images; no labels"
    differences = OutputsDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {"brightness": BRIGHTNESS_BANDS}
    same_bits = SAME_PICTURE_BITS
    calibration = ".npy or .npz arrays by the inputs' names, or images"
    is_named_only = True
    takes_any_size = True

    @property
    def metric(self) -> Metric:
        """How far outputs are from the float model's."""
        return OUTPUT_ERROR

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """Any model fits; there are no families."""
        if family != AUTO:
            return None
        return Recognition(NAME, "none", "no family is needed where nothing is ranked", detail=signature)

    def open_test(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Arrays or images; no labels are needed. Raises DataError, ImageError or ModelError."""
        opened = self.open_calibration(source, found, options, reading)
        task = OutputsTask()
        content = hashlib.sha256(b"".join(task.digest(sample) for sample in opened.samples)).hexdigest()
        return replace(opened, facts={"samples": len(opened.samples)}, content_sha256=content)

    def open_calibration(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Arrays (.npy, .npz) or images. Raises DataError, ImageError or ModelError."""
        del options
        signature: ModelSignature = found.detail
        if Path(source).suffix.lower() in ARRAY_SUFFIXES:
            return SampleSet(source, array_samples(Path(source), signature, reading.limit))
        fed = picture_input(signature)
        images, warnings = check_images(calibration_samples(source, reading.limit), reading.skip_bad)
        return SampleSet(source, picture_samples(images, fed), (*warnings, fed.assumption))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: Any,
        test: SampleSet | None = None,
    ) -> OutputsTask:
        """The task; it needs to know nothing of the model."""
        del signatures, found, options, test
        return OutputsTask()

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> OutputNoise:
        """What a run kept of every sample."""
        return OutputNoise.from_arrays(arrays)


OUTPUTS = OutputsDefinition()
