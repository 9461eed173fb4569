"""Weight rounding: not each weight to the nearest step, but all of an output so that it changes least.

Neighbouring pixels and related channels move together. What rounding one weight adds, the weights that read
much the same can take away: they are rounded one after the other, and each hands its error on to those that
follow. Source: E. Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers, 2022, section 3; the order (most moving inputs first) is that of its "act-order".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from calibrant.core.quantize import on_axis, weight_encoding
from calibrant.core.types import FloatArray, QuantSpec
from calibrant.models.onnx.model import Model
from calibrant.models.onnx.points import QuantPoints
from calibrant.models.onnx.transforms.transformed import Change, Transformed
from calibrant.models.onnx.transforms.weights import ConstantEditor, bias_of, groups, is_mendable, weight_of
from calibrant.models.onnx.walk import name_of

# What is added to the variance of every input, as a share of their mean: inputs that calibration did not tell
# apart stay apart.
DAMPING = 0.01


@dataclass(frozen=True)
class Moments:
    """Of the K values that an output of a convolution reads: mean (groups, K), covariance (groups, K, K)."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True)
class Rounded:
    """A convolution's weight as whole steps of its scales, and what keeps its outputs' means, (out,).

    why: a fact with a number.
    """

    weight: FloatArray
    bias_change: FloatArray
    why: str


def rounded_weights(
    model: Model, plan: QuantPoints, weights: QuantSpec, moments: Mapping[str, Moments]
) -> dict[str, Rounded]:
    """Weights that storing does not change, for the convolutions whose weights ``plan`` quantizes, by node.

    moments: by node, from calibration of this very model (so after equalizing); those without are left out.
    Scales stay those of the largest magnitudes.
    """
    axes = {point.node: point.axis for point in plan.weights}
    return {
        name_of(node): _rounded(node, on_axis(weights, axes[name_of(node)]), moments[name_of(node)])
        for node in model.ir.graph
        if name_of(node) in axes and name_of(node) in moments and is_mendable(node)
    }


def with_rounded(model: Model, plan: QuantPoints, rounded: Mapping[str, Rounded]) -> Transformed:
    """The model with these weights where ``plan`` quantizes them; they need no bias correction.

    Changes are "rounded".
    """
    result = model.ir.clone()
    editor = ConstantEditor(result)
    nodes = {name_of(node): node for node in result.graph}
    changes = []
    for point in plan.weights:
        found = rounded.get(point.node)
        if found is not None:
            node = nodes[point.node]
            editor.set_weight(node, found.weight)
            editor.set_bias(node, bias_of(node) + found.bias_change)
            changes.append(Change("rounded", point.tensor, (point.node,), found.why))
    return Transformed(replace(model, ir=result), tuple(changes))


def _rounded(node: ir.Node, spec: QuantSpec, moments: Moments) -> Rounded:
    weight, count = weight_of(node), groups(node)
    shape = (count, len(weight) // count, -1)
    scales = np.broadcast_to(weight_encoding(weight, spec).scale.astype(np.float64), weight.shape[:1])
    given = weight.astype(np.float64).reshape(shape) / scales.reshape(*shape[:2], 1)
    steps = np.stack(
        [
            rounded_steps(own, covariance, spec.qmax)
            for own, covariance in zip(given, moments.covariance, strict=True)
        ]
    )
    lost = np.einsum("gok,gk->go", given - steps, moments.mean).reshape(-1) * scales
    stored = steps.reshape(weight.shape) * scales.reshape(-1, *[1] * (weight.ndim - 1))
    moved = float((np.rint(given) != steps).mean())
    why = f"{100 * moved:.0f} % of the weights not to the nearest step"
    return Rounded(stored.astype(np.float32), lost.astype(np.float32), why)


def rounded_steps(
    weights: NDArray[np.float64], covariance: NDArray[np.float64], most: int
) -> NDArray[np.float64]:
    """Whole steps, (outputs, K), that change what the outputs give little where inputs move as told.

    weights: (outputs, K), in steps. covariance: (K, K), of the inputs. most: the largest number of steps,
    which the largest weight of an output keeps, because its scale was taken from it.
    """
    order = np.argsort(-np.diag(covariance), kind="stable")
    given = weights[:, order]
    left, largest = given.copy(), np.abs(given).argmax(axis=1)
    handing_on = _handing_on(covariance[np.ix_(order, order)])
    steps = np.zeros_like(left)
    for index in range(left.shape[1]):
        steps[:, index] = np.clip(np.rint(left[:, index]), -most, most)
        full = largest == index
        steps[full, index] = np.rint(given[full, index])
        error = (left[:, index] - steps[:, index]) / handing_on[index, index]
        left[:, index + 1 :] -= np.outer(error, handing_on[index, index + 1 :])
    result = np.empty_like(steps)
    result[:, order] = steps
    return result


def _handing_on(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upper Cholesky factor of the inverse covariance, damped: how errors go on to later weights."""
    variance = float(np.diag(covariance).mean())
    damped = covariance + np.eye(len(covariance)) * (DAMPING * variance if variance > 0 else 1.0)
    factor: NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor
