"""How one model's outputs differ from the float model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.core.types import Feeds
from calibrant.tasks.outputs.errors import decibels, evidence_of, ratios, same_top

MOST_SAMPLES = 12


@dataclass(frozen=True)
class OutputDifference:
    """One output: its error (%), SQNR (dB; None: no noise), and for scores how often top-1 stays (%)."""

    name: str
    error: float
    sqnr: float | None
    worst_sample: str
    worst_error: float
    same_top1: float | None


@dataclass(frozen=True)
class SampleDifference:
    """One sample: the mean error of its outputs, %."""

    sample: str
    error: float


@dataclass(frozen=True)
class OutputsDifferences:
    """One candidate's outputs against the float model's, the worst output and the worst sample first."""

    calibrator: str
    samples: int
    outputs: tuple[OutputDifference, ...]
    worst_samples: tuple[SampleDifference, ...]

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        worst = self.outputs[0]
        told = (
            f"output {worst.name} is off by {worst.error:.2f} % of its size, at worst by "
            f"{worst.worst_error:.2f} % ({worst.worst_sample})"
        )
        return told if worst.same_top1 is None else f"{told}; its top-1 stays for {worst.same_top1:.1f} %"


def differences_between(
    calibrator: str, ids: Sequence[str], references: Sequence[Feeds], found: Sequence[Feeds]
) -> OutputsDifferences:
    """What every output loses, and on which samples."""
    evidence = evidence_of(references, found)
    each = 100 * ratios(evidence.noise, evidence.signal)
    whole = 100 * ratios(evidence.noise.sum(axis=0), evidence.signal.sum(axis=0))
    outputs = []
    for index, name in enumerate(references[0]):
        worst = int(each[:, index].argmax())
        same = same_top(references, found, name)
        outputs.append(
            OutputDifference(
                name,
                round(float(whole[index]), 4),
                decibels(float(whole[index]) / 100),
                ids[worst],
                round(float(each[worst, index]), 4),
                None if same is None else round(100 * same, 4),
            )
        )
    by_sample = each.mean(axis=1)
    worst_first = np.argsort(-by_sample, kind="stable")[:MOST_SAMPLES]
    return OutputsDifferences(
        calibrator,
        len(ids),
        tuple(sorted(outputs, key=lambda output: -output.error)),
        tuple(SampleDifference(ids[index], round(float(by_sample[index]), 4)) for index in worst_first),
    )
