"""What changed between two calibration caches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from calibrant.targets.tensorrt.cache import TensorRTCache, threshold_of


@dataclass(frozen=True)
class ScaleChange:
    """A tensor whose scale differs. relative: (after - before) / before; infinite where before is 0."""

    tensor: str
    before: float
    after: float

    @property
    def relative(self) -> float:
        """The change as a fraction of the scale before."""
        return (self.after - self.before) / self.before if self.before else math.inf

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; an infinite change is null. scale and threshold are real units."""
        return {
            "tensor": self.tensor,
            "relative": self.relative if math.isfinite(self.relative) else None,
            "scale": [self.before, self.after],
            "threshold": [threshold_of(self.before), threshold_of(self.after)],
        }


@dataclass(frozen=True)
class CacheDifference:
    """changed: largest relative change first. only_before, only_after: tensors that one cache lacks."""

    changed: tuple[ScaleChange, ...]
    unchanged: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    def beyond(self, threshold: float) -> tuple[ScaleChange, ...]:
        """The changes of more than ``threshold``, a fraction: 0.01 is one percent."""
        return tuple(change for change in self.changed if abs(change.relative) > threshold)

    @property
    def is_empty(self) -> bool:
        """Whether both caches hold the same tensors with the same scales."""
        return not (self.changed or self.only_before or self.only_after)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "changed": [change.to_dict() for change in self.changed],
            "unchanged": self.unchanged,
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }


def difference(before: TensorRTCache, after: TensorRTCache) -> CacheDifference:
    """Compare two caches tensor by tensor, whatever their order and headers."""
    common = [tensor for tensor in before.scales if tensor in after.scales]
    changes = (ScaleChange(tensor, before.scales[tensor], after.scales[tensor]) for tensor in common)
    changed = sorted(
        (change for change in changes if change.before != change.after),
        key=lambda change: (-abs(change.relative), change.tensor),
    )
    return CacheDifference(
        tuple(changed),
        len(common) - len(changed),
        tuple(tensor for tensor in before.scales if tensor not in after.scales),
        tuple(tensor for tensor in after.scales if tensor not in before.scales),
    )
