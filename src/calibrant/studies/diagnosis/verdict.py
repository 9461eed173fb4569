"""The diagnosis in up to three sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrant.stages.recommend import shown
from calibrant.studies.diagnosis.case import Case
from calibrant.studies.diagnosis.result import Cause, Sensitivity, SwapTest
from calibrant.tasks.detection.differences import DetectionDifferences


def verdict_of(
    case: Case,
    causes: Sequence[Cause],
    swap: SwapTest | None,
    sensitivity: Sequence[Sensitivity],
    detections: Sequence[DetectionDifferences],
) -> tuple[str, ...]:
    """What is lost and where, why, and what a user of the losing candidate would notice."""
    return tuple(
        f"{sentence}." for part in (_where(case, swap, sensitivity), _why(causes), _felt(detections))
        for sentence in part
    )  # fmt: skip


def _where(case: Case, swap: SwapTest | None, sensitivity: Sequence[Sensitivity]) -> Iterator[str]:
    if swap is not None:
        yield swap.sentence
    elif sensitivity:
        worst = sensitivity[0].worst[0]
        yield (
            f"{sensitivity[0].calibrator} loses {shown(case.candidates[case.losing].drop)} points; the layer "
            f"that costs most by itself is {worst.node!r}, {worst.loss_alone:.1%} of agreement with FP32"
        )
    else:
        yield f"{case.losing} loses {shown(case.candidates[case.losing].drop)} points against FP32"


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
