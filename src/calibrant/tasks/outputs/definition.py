"""The task of models without a task: they can be calibrated, as that needs neither labels nor a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import AUTO, Reading, Recognition, SampleSet, TaskDefinition
from calibrant.core.types import ModelSignature
from calibrant.tasks.media.calibration import calibration_samples, check_images
from calibrant.tasks.outputs.pictures import picture_input, picture_samples
from calibrant.tasks.outputs.samples import ARRAY_SUFFIXES, array_samples
from calibrant.tasks.outputs.task import METRIC, NAME, WORDS, OutputsTask


class OutputsDefinition(TaskDefinition):
    """Any model, without labels."""

    name = NAME
    title = "any model, from arrays or images: calibrated, not ranked"
    words = WORDS
    calibration = ".npy or .npz arrays by the inputs' names, or images"
    is_named_only = True
    takes_any_size = True

    @property
    def metric(self) -> Metric:
        """How near outputs are to others, in dB."""
        return METRIC

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """Any model fits; there are no families."""
        if family != AUTO:
            return None
        return Recognition(NAME, "none", "no family is needed where nothing is ranked", detail=signature)

    def open_test(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Raises DataError: nothing is ranked."""
        del found, options, reading
        raise DataError(
            f"'{source}' has labels, and what the outputs mean is not known; name the model's task (--task)"
        )

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


OUTPUTS = OutputsDefinition()


def opened_for_any(signature: ModelSignature, source: str, reading: Reading) -> SampleSet:
    """Calibration samples of any model. Raises DataError, ImageError or ModelError."""
    found = OUTPUTS.recognise(signature)
    assert found is not None
    return OUTPUTS.open_calibration(source, replace(found), None, reading)
