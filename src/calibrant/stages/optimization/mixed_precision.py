"""Which layers to leave in float: what each brings for its cost, weighed many at a time.

Leaving one layer in float changes agreement by less than its noise. Each trial therefore excludes a random
third of the layers, so that all trials tell of every layer, in the company of others. Source: H. Hotelling,
Some Improvements in Weighing and Other Experimental Techniques, 1944.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from calibrant.core.recipes import Recipe

EXCLUDED_SHARE = 1 / 3
# So many trials say nothing yet.
FEWEST_TRIALS = 8
# Strengths of the ridge among which leave-one-out decides.
RIDGES = (1.0, 3.0, 10.0, 30.0, 100.0)


def excluded(
    recipe: Recipe,
    macs: Mapping[str, int],
    least_share: float,
    agreement: Callable[[Recipe], float],
    trials: int,
    seed: int,
    may_go_on: Callable[[], bool],
) -> Iterator[Recipe]:
    """Recipes with one more layer in float each, those that bring most for their cost first.

    macs: by node, of all that is quantized. Layers that bring nothing are not excluded. Ends when less than
    ``least_share`` of all multiply-accumulates would stay in INT8. Nothing comes when ``may_go_on`` says no
    before enough of the at most ``trials`` are made.
    """
    left = (1 - least_share) * sum(macs.values())
    nodes = [node for node in macs if macs[node] <= left]
    if not nodes:
        return
    plans, reached = _weighed(recipe, nodes, agreement, trials, seed, may_go_on)
    if len(reached) < FEWEST_TRIALS:
        return
    worth = dict(zip(nodes, gains(plans, reached), strict=True))
    for node in sorted(nodes, key=lambda node: -worth[node] / max(macs[node], 1)):
        if worth[node] > 0 and macs[node] <= left:
            recipe, left = recipe.with_float(node), left - macs[node]
            yield recipe


def gains(plans: NDArray[np.bool_], reached: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each layer brings, by ridge regression.

    plans: (trials, layers), which were excluded. reached: (trials,), what that gave. The strength of
    the ridge is the one under which each trial is told best from the others (leave-one-out).
    """
    centred = plans - plans.mean(axis=0)
    target = reached - reached.mean()
    kernel = centred @ centred.T
    return min((_ridge(centred, kernel, target, ridge) for ridge in RIDGES), key=lambda found: found[0])[1]


def _ridge(
    centred: NDArray[np.float64], kernel: NDArray[np.float64], target: NDArray[np.float64], ridge: float
) -> tuple[float, NDArray[np.float64]]:
    """The squared error of telling each trial from the others, and the coefficients."""
    inverse = np.linalg.inv(kernel + ridge * np.eye(len(kernel)))
    dual = inverse @ target
    coefficients: NDArray[np.float64] = centred.T @ dual
    return float(np.square(dual / np.diag(inverse)).sum()), coefficients


def _weighed(
    recipe: Recipe,
    nodes: Sequence[str],
    agreement: Callable[[Recipe], float],
    trials: int,
    seed: int,
    may_go_on: Callable[[], bool],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which nodes were excluded in each trial, (trials, nodes), and the agreement reached, (trials,)."""
    random = np.random.default_rng(seed)
    plans, reached = [], []
    for _ in range(trials):
        if not may_go_on():
            break
        plan = random.random(len(nodes)) < EXCLUDED_SHARE
        reached.append(agreement(recipe.with_float(*np.array(nodes)[plan].tolist())))
        plans.append(plan)
    return np.array(plans, np.bool_), np.array(reached, np.float64)
