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
from numpy.typing import NDArray

from calibrant.core.quantize import on_axis, weight_encoding
from calibrant.core.types import QuantSpec
from calibrant.graph.mending.mended import Change, Mended
from calibrant.graph.mending.weights import ConstantEditor, bias_of, groups, is_mendable, weight_of
from calibrant.graph.model import Model
from calibrant.graph.points import QuantPlan
from calibrant.graph.walk import name_of

# What is added to the variance of every input, as a share of their mean: inputs that calibration did not tell
# apart stay apart.
DAMPING = 0.01


@dataclass(frozen=True)
class Moments:
    """Of what a convolution's outputs read: mean (groups, K) and covariance (groups, K, K), K weights each."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def weights_rounded(
    model: Model, plan: QuantPlan, weights: QuantSpec, moments: Mapping[str, Moments]
) -> Mended:
    """Give the convolutions whose weights ``plan`` quantizes weights that storing does not change.

    moments: by node, from calibration of this very model (so after equalizing); those without are left alone.
    Scales stay those of the largest magnitudes. Biases keep each output's mean, so that these need no
    correction. Changes are "rounded".
    """
    result = model.ir.clone()
    editor = ConstantEditor(result)
    nodes = {name_of(node): node for node in result.graph if is_mendable(node)}
    changes = []
    for point in plan.weights:
        node, found = nodes.get(point.node), moments.get(point.node)
        if node is None or found is None:
            continue
        weight = weight_of(node)
        encoding = weight_encoding(weight, on_axis(weights, point.axis))
        shape = (groups(node), weight.shape[0] // groups(node), -1)
        given = weight.reshape(shape).astype(np.float64)
        scales = np.broadcast_to(encoding.scale.astype(np.float64), weight.shape[:1]).reshape(shape[:2])
        steps = np.stack(
            [
                rounded_steps(given[g] / scales[g][:, None], found.covariance[g], weights.qmax)
                for g in range(shape[0])
            ]
        )
        stored = steps * scales[:, :, None]
        kept = np.einsum("gok,gk->go", given - stored, found.mean).reshape(-1)
        editor.set_weight(node, stored.reshape(weight.shape).astype(np.float32))
        editor.set_bias(node, (bias_of(node) + kept).astype(np.float32))
        changes.append(
            Change("rounded", point.tensor, (point.node,), _why(given / scales[:, :, None], steps))
        )
    return Mended(replace(model, ir=result), tuple(changes))


def rounded_steps(
    weights: NDArray[np.float64], covariance: NDArray[np.float64], most: int
) -> NDArray[np.float64]:
    """Whole steps, (outputs, K), that change what the outputs give little where inputs move as told.

    weights: (outputs, K), in steps. covariance: (K, K), of the inputs. most: the largest number of steps,
    which the largest weight of an output keeps, because its scale was taken from it.
    """
    order = np.argsort(-np.diag(covariance), kind="stable")
    left = weights[:, order]
    largest = np.abs(left).argmax(axis=1)
    handing_on = _handing_on(covariance[np.ix_(order, order)])
    steps = np.zeros_like(left)
    for index in range(left.shape[1]):
        steps[:, index] = np.clip(np.rint(left[:, index]), -most, most)
        full = (largest == index) & (np.abs(weights[:, order[index]]) > 0)
        steps[full, index] = np.rint(weights[full, order[index]])
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


def _why(weights: NDArray[np.float64], steps: NDArray[np.float64]) -> str:
    moved = float((np.rint(weights) != steps).mean())
    return f"{100 * moved:.0f} % of the weights not to the nearest step"
