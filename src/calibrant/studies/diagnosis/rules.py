"""Rules that name causes: each looks at one tensor's measured evidence, and states its thresholds.

A rule says what is so, and whom it hurts; whether that costs anything is measured elsewhere (causes.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from calibrant.core.formats import INT8
from calibrant.core.tasks import Words
from calibrant.core.types import FloatArray
from calibrant.models.onnx.tensor_facts import TensorFacts
from calibrant.studies.diagnosis.result import LayerSensitivity, RangeError, TensorDiagnosis

FEW = 0.05
"""Share of samples or channels that are few."""
STEPS = int(INT8.highest)
"""Steps of INT8 on one side of zero."""


_WORDS = Words()


@dataclass(frozen=True)
class Evidence:
    """All that is known of one tensor. ``samples``: calibration samples; ``channel_amax``: None.

    Not measured.
    ``layers``: those that read it, measured by themselves under the losing candidate. ``equalizing_bits``:
    see graph.tensor_facts. ``losing`` and ``winning``: the calibrators that are held against each other.
    """

    tensor: TensorDiagnosis
    facts: TensorFacts = field(default_factory=TensorFacts)
    samples: int = 0
    words: Words = _WORDS
    channel_amax: FloatArray | None = None
    layers: tuple[LayerSensitivity, ...] = ()
    equalizing_bits: float = 0.0
    losing: str = ""
    winning: str = ""

    @property
    def amax(self) -> float:
        """The largest magnitude seen."""
        return max(abs(self.tensor.low), abs(self.tensor.high))

    @property
    def held(self) -> tuple[RangeError | None, RangeError | None]:
        """The losing and the winning calibrator's errors."""
        return self.tensor.error(self.losing), self.tensor.error(self.winning)

    def calibrators(self, hurt: Callable[[RangeError], bool]) -> tuple[str, ...]:
        """The calibrators whose range is as ``hurt`` says."""
        return tuple(error.calibrator for error in self.tensor.errors if hurt(error))


@dataclass(frozen=True)
class Found:
    """What a rule found: a cause without its price. ``remedies`` are keys of causes.REMEDIES, best first."""

    kind: str
    title: str
    text: str
    calibrators: tuple[str, ...]
    remedies: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    evidence: Mapping[str, float | str] = field(default_factory=dict)


def few_sample_outlier(seen: Evidence) -> Found | None:
    """At most 5 % of 16 samples or more reach half of the largest magnitude, twice a typical one's or more.

    It hurts calibrators that keep 90 % of the range or more: the other samples are left with half the steps.
    """
    peaks = seen.tensor.peaks
    if peaks is None or seen.samples < 16 or peaks.samples_above_half > FEW:
        return None
    if seen.amax < 2 * peaks.typical_sample:
        return None
    count = max(1, round(peaks.samples_above_half * seen.samples))
    return Found(
        "few-sample-outlier",
        f"An outlier in few {seen.words.samples}",
        f"{count} of {seen.samples} calibration {seen.words.samples}, first of all {peaks.sample!r}, reach "
        f"{seen.amax:.3g} where a typical {seen.words.sample} reaches {peaks.typical_sample:.3g}: a range "
        "that "
        f"keeps them leaves a typical {seen.words.sample} {STEPS * peaks.typical_sample / seen.amax:.0f} of "
        f"{STEPS} steps",
        seen.calibrators(lambda error: error.ratio >= 0.9),
        ("other-calibrator", "coverage", "ranges"),
        evidence={"sample": peaks.sample, "largest": seen.amax, "typical_sample": peaks.typical_sample,
                  "samples_above_half": peaks.samples_above_half},
    )  # fmt: skip


def channel_outlier(seen: Evidence) -> Found | None:
    """At most 5 % of the channels (or a single one) reach half of the largest magnitude, 8 x the typical one.

    The typical channel is then left 16 of 127 steps or fewer. It hurts calibrators that keep half of the
    range or more.
    """
    peaks = seen.tensor.peaks
    if peaks is None or peaks.channels < 4:
        return None
    few = max(FEW, 1 / peaks.channels) + 1e-9
    if peaks.channels_above_half > few or seen.amax < 8 * peaks.typical_channel:
        return None
    count = max(1, round(peaks.channels_above_half * peaks.channels))
    return Found(
        "channel-outlier",
        "An outlier channel",
        f"{count} of {peaks.channels} channels, first of all channel {peaks.channel}, reach {seen.amax:.3g} "
        f"where the median channel reaches {peaks.typical_channel:.3g}: one scale for all leaves it "
        f"{STEPS * peaks.typical_channel / seen.amax:.1f} of {STEPS} steps",
        seen.calibrators(lambda error: error.ratio >= 0.5),
        ("equalize", "other-calibrator", "exclude"),
        evidence={"channel": float(peaks.channel), "largest": seen.amax,
                  "typical_channel": peaks.typical_channel},
    )  # fmt: skip


def depthwise_outlier(seen: Evidence) -> Found | None:
    """One scale for all channels costs a depthwise convolution 1 bit (6 dB) or more.

    How much, says graph.tensor_facts.equalizing_bits. There no other channel makes up for a coarse one, and
    large weights often stand on small channels. It hurts calibrators that keep half of the range or more.
    """
    peaks = seen.tensor.peaks
    if peaks is None or seen.equalizing_bits < 1:
        return None
    return Found(
        "channel-outlier",
        "An outlier channel before a depthwise convolution",
        f"channel {peaks.channel} of {peaks.channels} reaches {seen.amax:.3g}, the median channel "
        f"{peaks.typical_channel:.3g}, and a depthwise convolution weighs each by itself: one scale for all "
        f"costs {seen.equalizing_bits:.1f} of 8 bits behind it",
        seen.calibrators(lambda error: error.ratio >= 0.5),
        ("equalize", "other-calibrator", "exclude"),
        nodes=seen.facts.depthwise_readers,
        evidence={"channel": float(peaks.channel), "largest": seen.amax,
                  "typical_channel": peaks.typical_channel, "bits": seen.equalizing_bits},
    )  # fmt: skip


def shared_scale(seen: Evidence) -> Found | None:
    """A Concat joins parts whose largest magnitudes are 8 x apart or more: the smallest keeps 16 steps."""
    if len(seen.facts.parts) < 2 or seen.channel_amax is None:
        return None
    sizes = [count for _, count in seen.facts.parts]
    if sum(sizes) != seen.channel_amax.size:
        return None
    reached = [float(part.max()) for part in np.split(seen.channel_amax, np.cumsum(sizes)[:-1])]
    large, small = int(np.argmax(reached)), int(np.argmin(reached))
    if reached[small] <= 0 or reached[large] < 8 * reached[small]:
        return None
    names = [name for name, _ in seen.facts.parts]
    return Found(
        "shared-scale",
        "Parts of different size share one scale",
        f"{names[large]!r} reaches {reached[large]:.3g}, {names[small]!r} only {reached[small]:.3g}, and one "
        f"Concat joins them: the smaller part is left {STEPS * reached[small] / reached[large]:.1f} of "
        f"{STEPS} steps",
        seen.calibrators(lambda error: error.ratio >= 0.5),
        ("exclude", "other-calibrator"),
        evidence={"large_part": names[large], "large": reached[large], "small_part": names[small],
                  "small": reached[small]},
    )  # fmt: skip


def raw_input(seen: Evidence) -> Found | None:
    """The model's input holds no negative value and reaches 64 or more: pixels that nobody scaled.

    A symmetric INT8 then has a step of 2 for pixels of 0..255, and no use for half of its integers.
    """
    if not seen.facts.is_input or seen.tensor.low < 0 or seen.tensor.high < 64:
        return None
    hurt = seen.calibrators(lambda error: error.dead_levels >= 0.4)
    if not hurt:
        return None
    return Found(
        "raw-input",
        "The input is raw",
        f"the input goes from {seen.tensor.low:.3g} to {seen.tensor.high:.3g}: in symmetric INT8 one step is "
        f"{seen.amax / STEPS:.2g} grey levels, and the negative half of the integers is never used",
        hurt,
        ("exclude", "asymmetric"),
        evidence={"low": seen.tensor.low, "high": seen.tensor.high, "step": seen.amax / STEPS},
    )


def small_negatives(seen: Evidence) -> Found | None:
    """SiLU or Hardswish: all negatives lie in [-0.5, 0), and fewer than 4 steps are left for them.

    Half of a symmetric INT8's integers are kept for them all the same (40 % dead levels or more).
    """
    low = seen.tensor.low
    if not (seen.facts.is_gated and -0.5 <= low < 0):
        return None

    def steps(error: RangeError) -> float:
        return STEPS * -low / max(abs(error.low), abs(error.high))

    hurt = seen.calibrators(lambda error: error.dead_levels >= 0.4 and steps(error) < 4)
    if not hurt:
        return None
    fewest = min(steps(error) for error in seen.tensor.errors)
    return Found(
        "small-negatives",
        "SiLU's small negatives",
        f"the values go from {low:.3g} to {seen.tensor.high:.3g}: what is negative is left {fewest:.1f} "
        "steps, and most negative integers are never used",
        hurt,
        ("asymmetric", "other-calibrator", "ranges"),
        evidence={"low": low, "high": seen.tensor.high, "steps": fewest},
    )


def output_head(seen: Evidence) -> Found | None:
    """A last layer before the output, or a DFL decoder, takes 1 % of the agreement or more by itself."""
    heads = (*seen.facts.dfl_readers, *seen.facts.head_readers)
    ours = [layer for layer in seen.layers if layer.node in heads]
    layer = max(ours, key=lambda found: found.loss_alone, default=None)
    if layer is None or layer.loss_alone < 0.01:
        return None
    is_dfl = layer.node in seen.facts.dfl_readers
    what = "decodes distributions (DFL)" if is_dfl else "gives the outputs directly"
    return Found(
        "output-head",
        "The head's last layer",
        f"{layer.node!r} {what}: in INT8 by itself it takes {layer.loss_alone:.1%} of agreement with FP32",
        (),
        ("keep-head-float", "exclude"),
        nodes=(layer.node,),
        evidence={"loss_alone": layer.loss_alone},
    )


def constant_tensor(seen: Evidence) -> Found | None:
    """One and the same value in all calibration samples: no range follows from it."""
    if seen.tensor.low != seen.tensor.high:
        return None
    return Found(
        "constant-tensor",
        "A tensor that never changes",
        f"it is {seen.tensor.low:.3g} in all {seen.samples} calibration {seen.words.samples}, so nothing "
        "tells its range; "
        f"other {seen.words.samples} may move it",
        (),
        ("coverage", "exclude"),
        evidence={"value": seen.tensor.low},
    )


def clipped(seen: Evidence) -> Found | None:
    """The losing range is at most 0.9 of the winning one, and nine tenths of its error are clipping."""
    losing, winning = seen.held
    if losing is None or winning is None or losing.ratio > 0.9 * winning.ratio:
        return None
    if losing.clipping_share < 0.9:
        return None
    return Found(
        "clipped",
        "Clipped too early",
        f"{losing.calibrator} keeps {losing.ratio:.0%} of the range and clips {losing.clipped:.2%} of the "
        f"values: SQNR {_db(losing)}, where {winning.calibrator} keeps {winning.ratio:.0%} and has "
        f"{_db(winning)}",
        seen.calibrators(lambda error: error.ratio <= losing.ratio and error.clipping_share >= 0.9),
        ("winner", "ranges"),
        evidence={"ratio": losing.ratio, "clipped": losing.clipped, "winning_ratio": winning.ratio},
    )


def coarse(seen: Evidence) -> Found | None:
    """The losing range is 1.5 x the winning one or more, and 99.9 % of the values lie in a quarter of it."""
    losing, winning = seen.held
    if losing is None or winning is None or losing.ratio < 1.5 * winning.ratio or seen.tensor.tail is None:
        return None
    used = 1 / (seen.tensor.tail * losing.ratio)
    if used > 0.25:
        return None
    return Found(
        "coarse",
        "Steps made coarse by a long tail",
        f"99.9 % of the values lie below {seen.amax / seen.tensor.tail:.3g}, the largest is {seen.amax:.3g}: "
        f"{losing.calibrator} leaves {STEPS * used:.0f} of {STEPS} steps to nearly all values, "
        f"{winning.calibrator} {losing.ratio / winning.ratio:.1f} x as many",
        seen.calibrators(lambda error: error.ratio >= losing.ratio),
        ("winner", "ranges", "equalize"),
        evidence={"tail": seen.tensor.tail, "largest": seen.amax, "ratio": losing.ratio,
                  "winning_ratio": winning.ratio},
    )  # fmt: skip


RULES = (
    few_sample_outlier, depthwise_outlier, channel_outlier, shared_scale, raw_input, small_negatives,
    output_head, constant_tensor, clipped, coarse,
)  # fmt: skip
_EXPLAINS = {
    "coarse": frozenset({"few-sample-outlier", "channel-outlier"}),
    "output-head": frozenset({"few-sample-outlier", "channel-outlier", "shared-scale", "clipped", "coarse"}),
}
"""A kind is not told of a tensor of which one of these says more: a head that is clipped is not to blame."""


def findings(seen: Evidence) -> list[Found]:
    """What the rules find in one tensor, each kind once, less what another finding explains."""
    every = [cause for rule in RULES if (cause := rule(seen)) is not None]
    by_kind = {cause.kind: cause for cause in reversed(every)}
    return [
        cause
        for kind, cause in reversed(by_kind.items())
        if not _EXPLAINS.get(kind, frozenset()) & by_kind.keys()
    ]


def _db(error: RangeError) -> str:
    return "without error" if error.sqnr_db is None else f"{error.sqnr_db:.1f} dB"
