import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.recipes import Recipe
from calibrant.stages.optimization.mixed_precision import excluded, gains

MACS = {"big": 900, "head": 40, "stem": 40, "dull": 20}
WORTH = {"big": 0.5, "head": 0.3, "stem": 0.1, "dull": -0.1}
TRIALS = 24


def agreement(recipe: Recipe) -> float:
    return 0.4 + sum(WORTH[node] for node in recipe.exclude)


def always() -> bool:
    return True


def layers(least_share: float) -> list[tuple[str, ...]]:
    found = excluded(Recipe("mse"), MACS, least_share, agreement, TRIALS, 0, always)
    return [recipe.exclude for recipe in found]


def test_layers_are_spared_by_what_they_bring_for_their_cost() -> None:
    assert layers(0.9) == [("head",), ("head", "stem")]  # big costs too much, dull does harm


def test_the_least_share_holds() -> None:
    assert layers(0.95) == [("head",)]
    assert layers(1.0) == []


def test_too_little_time_for_evidence_spares_nothing() -> None:
    calls = iter([True] * 5 + [False])
    found = excluded(Recipe("mse"), MACS, 0.9, agreement, TRIALS, 0, lambda: next(calls))
    assert not list(found)


def test_a_search_repeats_itself() -> None:
    tried: list[Recipe] = []

    def noted(recipe: Recipe) -> float:
        tried.append(recipe)
        return agreement(recipe)

    first = list(excluded(Recipe("mse"), MACS, 0.9, noted, TRIALS, 3, always))
    halfway = len(tried)
    assert list(excluded(Recipe("mse"), MACS, 0.9, noted, TRIALS, 3, always)) == first
    assert tried[:halfway] == tried[halfway:]


@given(st.integers(0, 99))
def test_few_noisy_trials_tell_the_layers_that_matter(seed: int) -> None:
    """Of 60 layers three matter, each 2.5 times as much as a trial's noise; thirty trials tell."""
    random = np.random.default_rng(seed)
    worth = np.zeros(60)
    worth[[7, 20, 41]] = 0.010
    plans = random.random((30, 60)) < 1 / 3
    reached = plans @ worth + random.normal(scale=0.004, size=30)
    found = gains(plans, reached)
    assert len(set(np.argsort(-found)[:8]) & {7, 20, 41}) >= 2
