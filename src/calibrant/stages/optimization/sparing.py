"""Which layers to leave in float: what each brings for its cost, measured again as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from calibrant.stages.optimization.recipe import Recipe

# Before a layer is spared, so many of the best are measured beside those that are: gains interact.
REMEASURED = 3


def spared(
    recipe: Recipe,
    macs: Mapping[str, int],
    least_share: float,
    agreement: Callable[[Recipe], float],
    may_try: Callable[[], bool],
    may_go_on: Callable[[], bool],
) -> Iterator[Recipe]:
    """Recipes with one more layer in float each, the most profitable first.

    macs: by node, of all that is quantized. Profit is agreement won for each multiply-accumulate; layers that
    bring nothing are never spared. Each is first tried alone while ``may_try`` says yes, the cheap ones
    before others. Ends when less than ``least_share`` of all multiply-accumulates would stay in INT8, when
    nothing is left that brings anything, or when ``may_go_on`` says no.
    """
    left = (1 - least_share) * sum(macs.values())
    reached = agreement(recipe)
    affordable = sorted((node for node in macs if macs[node] <= left), key=lambda node: macs[node])
    gains = _gains(recipe, reached, affordable, agreement, may_try)
    while may_go_on():
        able = [node for node in gains if macs[node] <= left and gains[node] > 0]
        best = sorted(able, key=lambda node: -_profit(gains, macs, node))[:REMEASURED]
        gains |= _gains(recipe, reached, best, agreement, may_go_on)
        node = max(best, key=lambda node: _profit(gains, macs, node), default=None)
        if node is None or gains[node] <= 0:
            return
        recipe, left = recipe.with_float(node), left - macs[node]
        reached += gains.pop(node)
        yield recipe


def _gains(
    recipe: Recipe,
    reached: float,
    nodes: list[str],
    agreement: Callable[[Recipe], float],
    may_go_on: Callable[[], bool],
) -> dict[str, float]:
    """What each node alone would bring; those that there is no time for are left out."""
    return {node: agreement(recipe.with_float(node)) - reached for node in nodes if may_go_on()}


def _profit(gains: Mapping[str, float], macs: Mapping[str, int], node: str) -> float:
    return gains[node] / max(macs[node], 1)
