"""The diagnosis in up to three sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrant.stages.recommend import shown
from calibrant.studies.diagnosis.case import Case
from calibrant.studies.diagnosis.causes import falls_of
from calibrant.studies.diagnosis.result import Cause, NoiseGrowth, Sensitivity, SwapTest
from calibrant.tasks.detection.differences import DetectionDifferences


def verdict_of(
    case: Case,
    causes: Sequence[Cause],
    swap: SwapTest | None,
    sensitivity: Sequence[Sensitivity],
    detections: Sequence[DetectionDifferences],
    growth: Sequence[NoiseGrowth],
) -> tuple[str, ...]:
    """What is lost and where, why, and what a user of the losing candidate would notice."""
    return tuple(
        f"{sentence}." for part in (_where(case, swap, sensitivity, growth), _why(causes), _felt(detections))
        for sentence in part
    )  # fmt: skip


def _where(
    case: Case, swap: SwapTest | None, sensitivity: Sequence[Sensitivity], growth: Sequence[NoiseGrowth]
) -> Iterator[str]:
    if swap is not None:
        yield swap.sentence
        return
    lost = f"{case.losing} loses {shown(case.candidates[case.losing].drop)} points against FP32"
    falls = falls_of(growth[0]) if growth else {}
    if sensitivity:
        worst = sensitivity[0].worst[0]
        yield (
            f"{lost}; the layer that costs most by itself is {worst.node!r}: {worst.loss_alone:.1%} of the "
            "agreement with FP32's boxes"
        )
    elif falls:
        node = max(falls, key=lambda name: falls[name])
        yield f"{lost}; its error grows most behind {node!r}, where the SQNR falls by {falls[node]:.0f} dB"
    else:
        yield lost


def _why(causes: Sequence[Cause]) -> Iterator[str]:
    if causes:
        first = causes[0]
        remedy = f" Remedy: {first.remedies[0].text}" if first.remedies else ""
        yield f"{first.title}: {first.text}{remedy}"


def _felt(detections: Sequence[DetectionDifferences]) -> Iterator[str]:
    if detections:
        found = detections[0]
        yield (
            f"Of the {found.fp32_boxes} boxes that FP32 shows above {found.fp32.threshold:.2f}, "
            f"{found.calibrator} loses {found.lost}, moves {found.moved} and adds {found.gained}"
        )
