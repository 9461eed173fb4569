"""The diagnosis in up to three sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrant.core.tasks import Differences
from calibrant.studies.diagnosis.case import DiagnosisInput
from calibrant.studies.diagnosis.causes import falls_of
from calibrant.studies.diagnosis.result import Cause, LayerSensitivity, NoiseGrowth, Sensitivity, SwapTest


def verdict_of(
    case: DiagnosisInput,
    causes: Sequence[Cause],
    swap: SwapTest | None,
    sensitivity: Sequence[Sensitivity],
    differences: Sequence[Differences],
    growth: Sequence[NoiseGrowth],
) -> tuple[str, ...]:
    """What is lost and where, why, and what a user of the losing candidate would notice."""
    return tuple(
        f"{sentence}." for part in (_where(case, swap, sensitivity, growth), _why(causes), _felt(differences))
        for sentence in part
    )  # fmt: skip


def _where(
    case: DiagnosisInput,
    swap: SwapTest | None,
    sensitivity: Sequence[Sensitivity],
    growth: Sequence[NoiseGrowth],
) -> Iterator[str]:
    if swap is not None:
        yield swap.sentence
        return
    lost = f"{case.losing} {case.study.task.metric.change(case.candidates[case.losing].lost)} against FP32"
    falls = falls_of(growth[0]) if growth else {}
    if sensitivity:
        worst = sensitivity[0].worst[0]
        yield (
            f"{lost}; the layer that costs most by itself is {worst.node!r}: {worst.loss_alone:.1%} of the "
            f"agreement with FP32's predictions{_without(worst, case)}"
        )
    elif falls:
        node = max(falls, key=lambda name: falls[name])
        yield f"{lost}; its error grows most behind {node!r}, where the SQNR falls by {falls[node]:.0f} dB"
    else:
        yield lost


def _without(layer: LayerSensitivity, case: DiagnosisInput) -> str:
    """What was measured with this layer left in float."""
    lost, metric = layer.lost_without, case.study.task.metric
    if lost is None:
        return ""
    return f"; with it in float the model {metric.change(lost.value)} (95 % interval {lost.interval(metric)})"


def _why(causes: Sequence[Cause]) -> Iterator[str]:
    if causes:
        first = causes[0]
        remedy = f" Remedy: {first.remedies[0].text}" if first.remedies else ""
        yield f"{first.title}: {first.text}{remedy}"


def _felt(differences: Sequence[Differences]) -> Iterator[str]:
    if differences:
        yield differences[0].sentence()
