"""What a diagnosis found, as values and as the versioned diagnosis.json.

Scores and losses are as shown, in the unit of the metric, with 95 % intervals. Shares and agreements are
fractions 0..1. Ranges and magnitudes are in the tensors' own real units, SQNR in dB (10 log10 of signal power
over error power; None: there is no error, or no signal). Layers are ONNX node names, tensors ONNX value
names. How predictions differ is a matter of the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibrant.core.metrics import Loss, Metric
from calibrant.core.short_repr import ShortRepr
from calibrant.studies.schema_1 import FIRST_TASK

SCHEMA_VERSION = 2
NO_TIME = ": no time left"
"""How what the budget did not reach ends in ``left_out``."""
READABLE = (1, SCHEMA_VERSION)

# --- tensors: what a range does to the values seen --------------------------------------------------


@dataclass(frozen=True)
class RangeError:
    """What one calibrator's range does to one tensor, computed from the calibration samples' histogram.

    ``low``, ``high``: the range that is kept. ``ratio`` is its larger side relative to the largest magnitude
    seen, which minmax keeps (1: nothing is clipped). ``clipped``: share of the values that lie outside.
    ``clipping_share``: share of the squared error that comes from clipping; the rest is rounding's.
    ``sqnr_db`` is of both errors together, and the other two of each by itself. ``dead_levels``: share of the
    integers that no value is rounded to.
    """

    calibrator: str
    low: float
    high: float
    ratio: float
    clipped: float
    clipping_share: float
    sqnr_db: float | None
    clipping_db: float | None
    rounding_db: float | None
    dead_levels: float


@dataclass(frozen=True)
class Peaks:
    """Where a tensor's largest magnitudes lie, over the calibration samples.

    ``sample`` is the id of the sample with the largest magnitude, ``path`` its file (None for an array) and
    ``channel`` the channel, counted from 0. ``typical_sample``: the median over samples of each sample's
    largest magnitude; ``samples_above_half``: share of the samples that reach half of the largest magnitude
    of all. ``channels``: how many there are; ``typical_channel``: the median over channels of each
    channel's largest magnitude; ``channels_above_half``: share of the channels that reach half of the
    largest of all.
    """

    sample: str
    path: str | None
    channel: int
    typical_sample: float
    samples_above_half: float
    channels: int
    typical_channel: float
    channels_above_half: float


@dataclass(frozen=True)
class TensorDiagnosis:
    """One quantized activation, in topological order of the network.

    ``producer`` computes it (None: the model's input) and the layers ``readers`` read it in INT8. ``values``
    were seen, from ``low`` to ``high``. ``kurtosis`` is about zero, E[x^4] / E[x^2]^2 (normal 3, uniform
    1.8); ``tail`` is the largest magnitude relative to the 99.9 % quantile of magnitudes. None: only zeros
    were seen. ``peaks`` is None where the time budget left it out. ``errors``: one a calibrator, in the
    study's order.
    """

    tensor: str
    producer: str | None
    readers: tuple[str, ...]
    values: int
    low: float
    high: float
    kurtosis: float | None
    tail: float | None
    peaks: Peaks | None
    errors: tuple[RangeError, ...]

    def error(self, calibrator: str) -> RangeError | None:
        """What a calibrator's range does; None where it has none."""
        return next((error for error in self.errors if error.calibrator == calibrator), None)


@dataclass(frozen=True)
class WeightDiagnosis:
    """One layer's weight as it is quantized (the same under all calibrators).

    ``kind`` is "depthwise", "grouped" or the operator ("Conv", "Gemm", ...). ``amax``: the largest magnitude;
    ``spread``: the largest over the smallest of the channels' largest magnitudes, zeros left out (1: equal).
    ``worst_channel`` has the lowest SQNR, ``worst_db``. ``sqnr_db`` is of the whole weight.
    """

    node: str
    tensor: str
    kind: str
    channels: int
    amax: float
    spread: float
    sqnr_db: float | None
    worst_channel: int
    worst_db: float | None


# --- layers: what quantizing one of them costs the task ---------------------------------------------


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer by itself, in the terms of :class:`Sensitivity`.

    ``agreement_alone``: only this layer (its weight and its input) is INT8. ``agreement_without``: all but
    this layer. ``loss_alone`` is 1 - agreement_alone, and ``gain_without`` is agreement_without minus the
    agreement with all layers in INT8; None: the time budget left it out. ``lost_alone`` and ``lost_without``
    (only this layer, all but it; against FP32) are mAP over the whole test set, for the worst layers only.
    """

    node: str
    tensors: tuple[str, ...]
    agreement_alone: float
    agreement_without: float | None = None
    gain_without: float | None = None
    lost_alone: Loss | None = None
    lost_without: Loss | None = None

    @property
    def loss_alone(self) -> float:
        """What this layer alone costs, in agreement."""
        return 1.0 - self.agreement_alone


@dataclass(frozen=True)
class Sensitivity:
    """Every layer's share in one candidate's loss, by agreement with the FP32 model's own predictions.

    Agreement is the task's own, over ``samples`` test samples, 0..1; 1: the same predictions.
    ``agreement_all`` is of the whole candidate. Layers come in topological order.
    """

    calibrator: str
    samples: int
    agreement_all: float
    layers: tuple[LayerSensitivity, ...]

    @property
    def worst(self) -> tuple[LayerSensitivity, ...]:
        """The same layers, those that cost most by themselves first."""
        return tuple(sorted(self.layers, key=lambda layer: -layer.loss_alone))


@dataclass(frozen=True)
class NoisePoint:
    """How far the INT8 candidate's activations are from FP32's behind one layer, over the same samples.

    ``position`` counts the quantized layers from 0 in topological order; ``tensor`` is the layer's output.
    """

    position: int
    node: str
    tensor: str
    sqnr_db: float | None


@dataclass(frozen=True)
class NoiseGrowth:
    """Where along the network one candidate's error arises and grows, on the first ``samples`` samples."""

    calibrator: str
    samples: int
    points: tuple[NoisePoint, ...]


# --- the swap test ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class SwapStep:
    """One more tensor of the losing candidate was given the winner's range; the earlier ones keep it.

    ``losing`` and ``winning`` are the widths of both ranges' larger sides (amax). ``clipped``: share of the
    values that the losing range clips. ``agreement`` (see :class:`Sensitivity`), ``value`` and ``drop``
    (against the winning candidate: what is left of the gap) are measured after the step. ``gained``: points
    that this step brought. ``explained``: share of the gap closed so far, 0..1 (beyond 1: better than it).
    """

    tensor: str
    readers: tuple[str, ...]
    losing: float
    winning: float
    clipped: float
    agreement: float
    value: float | None
    loss: Loss
    gained: float
    explained: float


@dataclass(frozen=True)
class SwapTest:
    """Which tensors account for what ``losing`` loses against ``winning``; the steps in order of the test.

    ``gap``: the drop of the losing against the winning candidate, over ``samples`` test samples.
    ``explained``: the points that all steps closed, with their interval. ``is_complete``: 90 % of the gap
    is explained. ``sentence`` says it in words.
    """

    losing: str
    winning: str
    samples: int
    gap: Loss
    explained: Loss
    is_complete: bool
    steps: tuple[SwapStep, ...]
    sentence: str


# --- causes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Remedy:
    """Something Calibrant can apply: a sentence, and the command to run (None: a command does not apply)."""

    text: str
    command: str | None = None


@dataclass(frozen=True)
class Cause:
    """One reason in the user's terms, from measured evidence only; the gravest first.

    ``kind``: "few-sample-outlier", "channel-outlier", "shared-scale", "raw-input", "small-negatives",
    "output-head", "constant-tensor", "clipped" or "coarse". ``text``: one or two sentences with the figures.
    ``calibrators``: whom it hurts. ``cost``: points of mAP that the swap test or the layer's own drop
    ascribes to it, and ``loss_alone``: agreement that its layer alone costs; None: not measured.
    """

    kind: str
    title: str
    text: str
    tensor: str | None
    nodes: tuple[str, ...]
    calibrators: tuple[str, ...]
    evidence: Mapping[str, float | str]
    remedies: tuple[Remedy, ...]
    cost: float | None = None
    loss_alone: float | None = None


# --- all of it -------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Diagnosis(ShortRepr):
    """A finished diagnosis. Parts that the time budget left out are None or empty, and ``left_out`` says so.

    ``losing`` is the candidate that is explained, ``winning`` the one that it is compared with: by default
    both are the recommended one, whose loss against FP32 is explained. ``verdict``: up to three sentences,
    the short answer. ``sensitivity`` and ``growth``: of the losing candidate first, then of the winning one.
    ``differences``: likewise, as the task tells them. ``budget_seconds`` was given (None: no limit) and
    ``seconds`` were used, by part.
    """

    model: str
    losing: str
    winning: str
    verdict: tuple[str, ...]
    causes: tuple[Cause, ...]
    tensors: tuple[TensorDiagnosis, ...]
    weights: tuple[WeightDiagnosis, ...]
    sensitivity: tuple[Sensitivity, ...]
    growth: tuple[NoiseGrowth, ...]
    swap: SwapTest | None
    differences: tuple[Any, ...]
    left_out: tuple[str, ...]
    budget_seconds: float | None
    seconds: Mapping[str, float]
    metric: Metric
    task: str = FIRST_TASK

    @property
    def left_out_in_words(self) -> tuple[str, ...]:
        """What was left out, a line each; all that there was no time for in one."""
        no_time = [words.removesuffix(NO_TIME) for words in self.left_out if words.endswith(NO_TIME)]
        others = [words for words in self.left_out if not words.endswith(NO_TIME)]
        return (*others, *([f"no time was left for {'; '.join(no_time)}"] if no_time else []))

    def tensor(self, name: str) -> TensorDiagnosis | None:
        """What is known of one tensor; None where it is not quantized."""
        return next((found for found in self.tensors if found.tensor == name), None)
