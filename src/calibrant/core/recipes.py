"""A recipe: all that makes one quantized model of a float one, written down.

A candidate is a recipe; a calibrator is the simplest one. study.json holds each trial's, and optimize's YAML
file is one.
"""

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
    """How a quantized model is made.

    method, format: how weights are rounded, and the formats of weights and activations; None: as the scheme
    says. calibrator: gives every activation its range (empty: none has a fixed one), but for those in
    ``ranges``: (tensor, calibrator) pairs in which ``a~b`` is the geometric mean of two calibrators' ranges.
    exclude: nodes that stay in float. The rest are transforms: correct_bias: whether what rounding the
    weights adds on average is taken off the biases. zero_points: where channels are moved into the middle
    of a symmetric range. float_functions: whether activation functions stay in float that the scheme would
    compute on integers, and what convolutions give them is scaled by channel (transforms.outputs).
    round_weights: whether weights are rounded together. Each is a module of models.onnx.transforms.
    """

    calibrator: str
    equalize: Equalize | None = None
    correct_bias: bool = False
    ranges: tuple[tuple[str, str], ...] = ()
    exclude: tuple[str, ...] = ()
    zero_points: str = NOWHERE
    float_functions: bool = False
    round_weights: bool = False
    method: str | None = None
    format: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON and YAML files hold it: what is not there is as in the simplest recipe."""
        found = {
            "method": self.method,
            "format": self.format,
            "calibrator": self.calibrator,
            "transforms": {name: value for name, value in self._transforms().items() if value},
            "ranges": dict(self.ranges),
            "exclude": list(self.exclude),
        }
        return {name: value for name, value in found.items() if value}

    def to_edit(self) -> dict[str, Any]:
        """The same, with what could be there, too: for a file that people read and change."""
        return {
            "calibrator": self.calibrator,
            "transforms": {**self._transforms(), "zero_points": self.zero_points},
            "ranges": dict(self.ranges),
            "exclude": list(self.exclude),
        }

    def _transforms(self) -> dict[str, Any]:
        return {
            "equalize": asdict(self.equalize) if self.equalize else None,
            "zero_points": None if self.zero_points == NOWHERE else self.zero_points,
            "correct_bias": self.correct_bias,
            "round_weights": self.round_weights,
            "float_functions": self.float_functions,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`to_dict` or :meth:`to_edit` gave, or the first ones: those were flat.

        Raises KeyError, TypeError, ValueError or AttributeError for anything else.
        """
        told = content.get("transforms", content) or {}
        equalize = told.get("equalize")
        calibrator = content.get("calibrator", "") if "format" in content else content["calibrator"]
        return cls(
            calibrator=str(calibrator),
            equalize=Equalize(**equalize) if equalize is not None else None,
            correct_bias=bool(told.get("correct_bias", False)),
            ranges=tuple(
                sorted((str(tensor), str(choice)) for tensor, choice in content.get("ranges", {}).items())
            ),
            exclude=tuple(map(str, content["exclude"] if "exclude" in content else content.get("float", ()))),
            zero_points=str(told.get("zero_points") or NOWHERE),
            float_functions=bool(told.get("float_functions", False)),
            round_weights=bool(told.get("round_weights", False)),
            method=content.get("method"),
            format=content.get("format"),
        )

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


@dataclass(frozen=True)
class PartsRecipe:
    """Recipes of the parts of a model, in the order of the parts; a part without one is in float."""

    parts: tuple[tuple[str, Recipe], ...]

    @property
    def key(self) -> str:
        """A stable hash: recipes with one key make one model."""
        keys = json.dumps([(part, recipe.key) for part, recipe in self.parts])
        return hashlib.sha256(keys.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "calibrator": ", ".join(f"{part}/{recipe.calibrator}" for part, recipe in self.parts),
            "parts": {part: recipe.to_dict() for part, recipe in self.parts},
        }

    def with_part(self, part: str, recipe: Recipe | None) -> PartsRecipe:
        """The same with another recipe for one of its parts, or that part in float (None)."""
        others = ((name, recipe if name == part else own) for name, own in self.parts)
        return PartsRecipe(tuple((name, own) for name, own in others if own is not None))
