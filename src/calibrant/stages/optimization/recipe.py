"""A recipe: all that makes one quantized model of a float one, without searching."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

PEAK, TYPICAL = "peak", "typical"
# Where a symmetric range is shifted: nowhere, before convolutions that pad nothing, before all.
NOWHERE, UNPADDED, EVERYWHERE = "nowhere", "unpadded", "everywhere"
BETWEEN = "~"


@dataclass(frozen=True)
class Equalize:
    """Cross-layer equalization: see models.onnx.transforms.equalize.

    Depthwise convolutions' inputs always; strength: how much of the others' migrates into their weights, 0 to
    1. channels: a channel is as large as it ever becomes ("peak") or as in all but few samples ("typical").
    least_gain: leave alone what is expected to win less, in bits. multiply: also where the
    scale cannot be folded into the layer before, and costs a Mul.
    """

    strength: float = 0.0
    channels: str = PEAK
    least_gain: float = 0.0
    multiply: bool = True


@dataclass(frozen=True)
class Recipe:
    """How a quantized model is made, in the order of making.

    calibrator: gives every activation its range, but for those in ``ranges``: (tensor, calibrator) pairs in
    which ``a~b`` is the geometric mean of two calibrators' ranges. correct_bias: whether what rounding the
    weights adds on average is taken off the biases. exclude: nodes that stay in float. zero_points: where
    channels are moved into the middle of a symmetric range. float_functions: whether activation functions
    stay in float that the scheme would compute on integers, and what convolutions give them is scaled by
    channel (transforms.outputs). round_weights: whether weights are rounded together. Each is a module of
    models.onnx.transforms.
    """

    calibrator: str
    equalize: Equalize | None = None
    correct_bias: bool = False
    ranges: tuple[tuple[str, str], ...] = ()
    exclude: tuple[str, ...] = ()
    zero_points: str = NOWHERE
    float_functions: bool = False
    round_weights: bool = False

    def with_range(self, tensor: str, calibrator: str) -> Recipe:
        """The same recipe with another range for one tensor."""
        ranges = {**dict(self.ranges), tensor: calibrator}
        if calibrator == self.calibrator:
            del ranges[tensor]
        return replace(self, ranges=tuple(sorted(ranges.items())))

    def with_float(self, *nodes: str) -> Recipe:
        """The same recipe with more nodes in float."""
        return replace(self, exclude=tuple(dict.fromkeys((*self.exclude, *nodes))))

    @property
    def key(self) -> str:
        """A stable hash: recipes with one key make one model."""
        content = {**asdict(self), "exclude": sorted(self.exclude)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def techniques(self) -> tuple[str, ...]:
        """What it does beside choosing one calibrator, in words."""
        used = {
            "equalization": self.equalize is not None,
            "zero points": self.zero_points != NOWHERE,
            "bias correction": self.correct_bias and not self.round_weights,
            "weight rounding": self.round_weights,
            "float functions": self.float_functions,
            "ranges per tensor": bool(self.ranges),
            "mixed precision": bool(self.exclude),
        }
        return tuple(name for name, is_used in used.items() if is_used)

    def without(self, technique: str) -> Recipe:
        """The same recipe without one of its techniques."""
        left: dict[str, Mapping[str, Any]] = {
            "equalization": {"equalize": None},
            "zero points": {"zero_points": NOWHERE},
            "bias correction": {"correct_bias": False},
            "weight rounding": {"round_weights": False},
            "float functions": {"float_functions": False},
            "ranges per tensor": {"ranges": ()},
            "mixed precision": {"exclude": ()},
        }
        return replace(self, **left[technique])

    def range_counts(self, tensors: int) -> dict[str, int]:
        """How many of ``tensors`` activations take whose range, most first."""
        counts = Counter(calibrator for _, calibrator in self.ranges)
        counts[self.calibrator] += tensors - len(self.ranges)
        return dict(counts.most_common())
