"""Which levers to pull together: a search over their settings, by Optuna's tree-structured Parzen estimator.

Source: J. Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from calibrant.core.errors import SettingsError
from calibrant.stages.optimization.recipe import PEAK, TYPICAL, Equalize, Recipe

STRENGTHS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
LEAST_GAINS = (0.0, 0.25)
NONE, DEPTHWISE, ALL = "none", "depthwise", "all"


def searched_levers(
    calibrators: Sequence[str],
    agreement: Callable[[Recipe], float],
    may_go_on: Callable[[], bool],
    seed: int,
    most: int,
) -> tuple[Recipe, ...]:
    """Try at most ``most`` settings of the levers; return them, the one that agrees most first.

    calibrators: names, the best first. The first settings tried are those that mostly serve; ``seed`` decides
    what follows them. Stops when ``may_go_on`` says no. Raises SettingsError without Optuna.
    """
    study = _new_study(seed)
    for settings in _first_settings(calibrators):
        study.enqueue_trial(settings)
    found: dict[Recipe, float] = {}
    for _ in range(most):
        if not may_go_on():
            break
        trial = study.ask()
        recipe = _recipe_of(trial, calibrators)
        found[recipe] = agreement(recipe)
        study.tell(trial, found[recipe])
    return tuple(sorted(found, key=lambda recipe: -found[recipe]))


def _new_study(seed: int) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise SettingsError("optimizing needs Optuna; run pip install 'calibrant[optimize]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8)
    return optuna.create_study(direction="maximize", sampler=sampler)


def _first_settings(calibrators: Sequence[str]) -> list[dict[str, Any]]:
    """Equalization with corrected biases under every calibrator: a range that was too wide no longer is.

    Then what it is without either, under the best calibrators alone.
    """
    few = calibrators[:2]
    plans = (
        (ALL, 0.7, True, calibrators),
        (ALL, 0.5, True, calibrators),
        (ALL, 0.7, False, few),
        (DEPTHWISE, 0.5, True, few),
        (NONE, 0.5, True, few),
    )
    rest = {"channels": PEAK, "least_gain": 0.0, "multiply": True}
    return [
        {"equalize": kind, "strength": strength, "correct_bias": corrected, "calibrator": name, **rest}
        for kind, strength, corrected, names in plans
        for name in names
    ]


def _recipe_of(trial: Any, calibrators: Sequence[str]) -> Recipe:
    """The levers of one trial. The settings of an equalization only exist where there is one."""
    calibrator = trial.suggest_categorical("calibrator", tuple(calibrators))
    kind = trial.suggest_categorical("equalize", (NONE, DEPTHWISE, ALL))
    correct_bias = trial.suggest_categorical("correct_bias", (False, True))
    if kind == NONE:
        return Recipe(calibrator, correct_bias=correct_bias)
    strength = trial.suggest_categorical("strength", STRENGTHS) if kind == ALL else 0.0
    channels = trial.suggest_categorical("channels", (PEAK, TYPICAL))
    least_gain = trial.suggest_categorical("least_gain", LEAST_GAINS)
    multiply = trial.suggest_categorical("multiply", (True, False))
    return Recipe(calibrator, Equalize(strength, channels, least_gain, multiply), correct_bias)
