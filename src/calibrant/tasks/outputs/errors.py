"""A model's outputs against the float model's: noise and signal of each, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.metrics import MINIMIZE, Figure, Metric, Score
from calibrant.core.types import Feeds, IntArray

OUTPUT_ERROR = Metric("output_error", "output error", unit="%", direction=MINIMIZE, decimals=2, span=1.0)
"""The root mean square of the noise by that of the float model's output, the mean over the outputs."""

_LEAST_CLASSES = 2


@dataclass(frozen=True, eq=False)
class OutputNoise:
    """For each sample and output: energy of what differs, and of the float model's output, float64 (N, O).

    Of an output of whole numbers: how many differ, and how many there are.
    """

    noise: NDArray[np.float64]
    signal: NDArray[np.float64]

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """The output error (0 and above) for each row of weights (R, N); nan where no sample is left.

        Raises ValueError for weights of another shape.
        """
        if weights.ndim != 2 or weights.shape[1] != len(self.noise):
            raise ValueError(f"weights must have shape (R, {len(self.noise)}), not {weights.shape}")
        seen = weights.sum(axis=1) > 0
        errors = ratios(weights @ self.noise, weights @ self.signal).mean(axis=1)
        return np.where(seen, errors, np.nan)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, for an .npz file."""
        return {"noise": self.noise, "signal": self.signal}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> OutputNoise:
        """What :meth:`to_arrays` gave. Raises KeyError or ValueError for other arrays."""
        noise, signal = arrays["noise"], arrays["signal"]
        if (
            noise.ndim != 2
            or noise.shape != signal.shape
            or {noise.dtype, signal.dtype} != {np.dtype(np.float64)}
        ):
            raise ValueError("the arrays are not of one set of outputs")
        return cls(noise, signal)


def ratios(noise: NDArray[np.float64], signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root of noise by signal; 0 where there is no noise, infinite where there is no signal but noise."""
    shares = np.divide(noise, signal, out=np.full(noise.shape, np.inf), where=signal > 0)
    return np.asarray(np.sqrt(np.where(noise == 0, 0.0, shares)), np.float64)


def noise_of(reference: Feeds, found: Feeds) -> tuple[list[float], list[float]]:
    """Noise and signal of each output of one sample, in the reference's order."""
    both = [_energies(values, found[name]) for name, values in reference.items()]
    return [noise for noise, _ in both], [signal for _, signal in both]


def evidence_of(references: Sequence[Feeds], found: Sequence[Feeds]) -> OutputNoise:
    """The evidence that these outputs are, sample by sample."""
    rows = [noise_of(ours, theirs) for ours, theirs in zip(references, found, strict=True)]
    count = len(references[0]) if references else 0
    noise, signal = (np.array([row[part] for row in rows], np.float64).reshape(-1, count) for part in (0, 1))
    return OutputNoise(noise, signal)


def score_of(references: Sequence[Feeds], found: Sequence[Feeds]) -> Score:
    """The output error; beside it each output's SQNR, also of its worst sample, and how often top-1 stays."""
    evidence = evidence_of(references, found)
    value = float(evidence.resample(np.ones((1, len(found)), np.int64))[0])
    figures = []
    for index, name in enumerate(references[0] if references else ()):
        noise, signal = evidence.noise[:, index], evidence.signal[:, index]
        each = ratios(noise, signal)
        figures += [
            Figure(
                f"SQNR of {name}",
                decibels(float(ratios(noise.sum(keepdims=True), signal.sum(keepdims=True))[0])),
                "dB",
            ),
            Figure(f"worst SQNR of {name}", decibels(float(each.max())), "dB"),
        ]
        same = same_top(references, found, name)
        if same is not None:
            figures.append(Figure(f"same top-1 of {name}", round(100 * same, 4), "%"))
    return Score(OUTPUT_ERROR, value, tuple(figures), evidence)


def decibels(ratio: float) -> float | None:
    """An error ratio as a signal to noise ratio; None where there is no noise, or nothing else."""
    return round(-20 * math.log10(ratio), 4) if 0 < ratio < math.inf else None


def same_top(references: Sequence[Feeds], found: Sequence[Feeds], name: str) -> float | None:
    """Of an output (.., C) of at least two classes: the share of rows whose strongest class is the same."""
    rows = same = 0
    for ours, theirs in zip(references, found, strict=True):
        values = ours[name]
        if values.dtype.kind != "f" or values.ndim < 2 or values.shape[-1] < _LEAST_CLASSES:
            return None
        if values.shape == theirs[name].shape:
            same += int((values.argmax(axis=-1) == theirs[name].argmax(axis=-1)).sum())
        rows += values.size // values.shape[-1]
    return same / rows if rows else None


def _energies(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[float, float]:
    if ours.dtype.kind != "f":
        differs = ours.size if ours.shape != theirs.shape else int((ours != theirs).sum())
        return float(differs), float(ours.size)
    signal = float(np.square(ours, dtype=np.float64).sum())
    if ours.shape != theirs.shape:  # a model that chooses how much it gives: all of it is noise
        return signal, signal
    noise = float(np.square(theirs.astype(np.float64) - ours).sum())
    return (noise if math.isfinite(noise) else math.inf), signal
