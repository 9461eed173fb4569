"""Plans that quantize some layers only: one by itself, or all but one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from calibrant.models.onnx.points import ActivationPoint, QuantPoints


def layers_of(plan: QuantPoints) -> tuple[str, ...]:
    """The nodes whose weight is quantized, each once, in topological order."""
    return tuple(dict.fromkeys(point.node for point in plan.weights))


def tensors_read(plan: QuantPoints, node: str) -> tuple[str, ...]:
    """The quantized activations that a node reads."""
    return tuple(point.tensor for point in plan.activations if _is_read(point, node))


def only(plan: QuantPoints, node: str) -> QuantPoints:
    """The plan with one layer: its weight, and the pairs on the activations it reads, for it alone."""
    points = tuple(
        replace(point, consumers=tuple(use for use in point.consumers if use[0] == node), is_output=False)
        for point in plan.activations
        if _is_read(point, node)
    )
    return QuantPoints(points, tuple(weight for weight in plan.weights if weight.node == node), ())


def without(plan: QuantPoints, excluded: Collection[str]) -> QuantPoints:
    """The plan less these layers: their weights are float, and they read activations that are not rounded."""
    points = (
        replace(point, consumers=tuple(use for use in point.consumers if use[0] not in excluded))
        for point in plan.activations
    )
    return QuantPoints(
        tuple(point for point in points if point.consumers or point.is_output),
        tuple(weight for weight in plan.weights if weight.node not in excluded),
        (*plan.kept_float, *excluded),
    )


def _is_read(point: ActivationPoint, node: str) -> bool:
    return any(reader == node for reader, _ in point.consumers)
