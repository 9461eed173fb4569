"""A prediction of implicit INT8 is an interval: TensorRT decides by speed what stays in float."""

from __future__ import annotations

from calibrant.core.schemes import TENSORRT_IMPLICIT
from calibrant.studies.result import StudyResult


def placements_in_words(result: StudyResult) -> str | None:
    """Between which scores the recommended candidate will lie on TensorRT, wherever it places INT8.

    None where TensorRT measured it, where no other placement is possible, and where the ends look the same.
    """
    is_predicted = "tensorrt" not in result.environment
    if result.settings.get("scheme") != TENSORRT_IMPLICIT.name or not is_predicted:
        return None
    full = result.baseline.score.value
    if result.recommended is None or full is None:
        return None
    trial, metric = result.trial(result.recommended.calibrator), result.metric
    if trial.value is None or metric.text(trial.value) == metric.text(full):
        return None
    return (
        f"on TensorRT {trial.calibrator} lies between {metric.text(trial.value)} {metric.words} (INT8 "
        f"wherever it can be) and FP32's {metric.text(full)} (in float what is quicker so): no graph shows "
        "which"
    )
