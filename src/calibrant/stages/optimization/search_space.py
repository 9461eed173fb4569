"""Which techniques go together: a search over their settings, by Optuna's tree-structured Parzen estimator.

Source: J. Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from calibrant.core.recipes import NOWHERE, PEAK, TYPICAL, Equalize, Recipe

STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LEAST_GAINS = (0.0, 0.25)
NONE, DEPTHWISE, ALL = "none", "depthwise", "all"


@dataclass(frozen=True)
class SearchSpace:
    """What techniques may be set to, each setting that mostly serves best first.

    multiply: whether channels are also scaled where only a Mul between layers can.
    """

    calibrators: Sequence[str]
    zero_points: Sequence[str] = (NOWHERE,)
    float_functions: Sequence[bool] = (False,)
    multiply: Sequence[bool] = (True, False)

    @property
    def folded(self) -> SearchSpace:
        """Without what adds nodes between layers: all that is left folds into weights and biases."""
        return replace(self, zero_points=(NOWHERE,), multiply=(False,))


def searched_recipes(
    space: SearchSpace,
    agreement: Callable[[Recipe], float],
    may_go_on: Callable[[], bool],
    seed: int,
    most: int,
) -> tuple[Recipe, ...]:
    """Try at most ``most`` settings; return their recipes, the one that agrees most first.

    The first settings tried are those that mostly serve; ``seed`` decides what follows them. Stops when
    ``may_go_on`` says no.
    """
    study = _new_study(seed)
    for settings in _first_settings(space):
        study.enqueue_trial(settings)
    found: dict[Recipe, float] = {}
    for _ in range(most):
        if not may_go_on():
            break
        trial = study.ask()
        recipe = _recipe_of(trial, space)
        found[recipe] = agreement(recipe)
        study.tell(trial, found[recipe])
    return tuple(sorted(found, key=lambda recipe: -found[recipe]))


def _new_study(seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8)
    return optuna.create_study(direction="maximize", sampler=sampler)


def _first_settings(space: SearchSpace) -> list[dict[str, Any]]:
    """All techniques under every calibrator: a range that was too wide no longer is. Then fewer.

    Settings that share their transforms stand together: they are what takes most of the time.
    """
    full = {
        "equalize": ALL,
        "strength": 0.7,
        "channels": PEAK,
        "least_gain": 0.0,
        "multiply": space.multiply[0],
        "correct_bias": True,
        "round_weights": True,
        "zero_points": space.zero_points[0],
        "float_functions": space.float_functions[0],
    }
    few = space.calibrators[:2]
    changes: list[tuple[dict[str, Any], Sequence[str]]] = [
        ({}, space.calibrators),
        ({"channels": TYPICAL}, space.calibrators),
        *(({"zero_points": where}, few) for where in space.zero_points[1:]),
        ({"round_weights": False}, few),
        ({"strength": 0.5}, space.calibrators[:4]),
        ({"equalize": NONE}, few),
        *(({"float_functions": kept, "equalize": NONE}, few) for kept in space.float_functions[1:]),
        ({"equalize": DEPTHWISE}, few),
        ({"correct_bias": False, "round_weights": False}, few),
    ]
    return [{**full, **change, "calibrator": name} for change, names in changes for name in names]


def _recipe_of(trial: Any, space: SearchSpace) -> Recipe:
    """The recipe of one trial. The settings of an equalization only exist where there is one."""
    choice = trial.suggest_categorical
    rounds = choice("round_weights", (False, True))
    plain = Recipe(
        choice("calibrator", tuple(space.calibrators)),
        # Rounding keeps means; correction is left with what is too large to be rounded together.
        correct_bias=rounds or choice("correct_bias", (False, True)),
        round_weights=rounds,
        zero_points=choice("zero_points", tuple(space.zero_points)),
        float_functions=choice("float_functions", tuple(space.float_functions)),
    )
    kind = choice("equalize", (NONE, DEPTHWISE, ALL))
    if kind == NONE:
        return plain
    strength = choice("strength", STRENGTHS) if kind == ALL else 0.0
    channels = choice("channels", (PEAK, TYPICAL))
    least_gain = choice("least_gain", LEAST_GAINS)
    multiply = choice("multiply", tuple(space.multiply))
    return replace(plain, equalize=Equalize(strength, channels, least_gain, multiply))
