from dataclasses import replace

from calibrant.core.recipes import EVERYWHERE, NOWHERE, UNPADDED, Equalize, Recipe
from calibrant.stages.optimization.search_space import SearchSpace, searched_recipes

NAMES = ("minmax", "mse", "entropy2", "percentile:99.9")
SPACE = SearchSpace(NAMES, (EVERYWHERE, UNPADDED, NOWHERE), (True, False))


def agreement(recipe: Recipe) -> float:
    """Best with percentile:99.9, which is tried late, and an equalization of strength 0.7."""
    bonus = 0.3 - abs(recipe.equalize.strength - 0.7) if recipe.equalize else 0.0
    return 0.1 * NAMES.index(recipe.calibrator) + bonus


def test_the_search_finds_what_it_was_not_told() -> None:
    found = searched_recipes(SPACE, agreement, lambda: True, seed=0, most=60)
    assert found[0].calibrator == "percentile:99.9"
    assert found[0].equalize is not None
    assert found[0].equalize.strength == 0.7


def test_it_begins_with_what_mostly_serves_and_repeats_itself() -> None:
    tried: list[Recipe] = []

    def noted(recipe: Recipe) -> float:
        tried.append(recipe)
        return agreement(recipe)

    first = searched_recipes(SPACE, noted, lambda: True, seed=3, most=22)
    full = Recipe(
        "",
        Equalize(0.7),
        correct_bias=True,
        round_weights=True,
        zero_points=EVERYWHERE,
        float_functions=True,
    )
    assert tried[:4] == [replace(full, calibrator=name) for name in NAMES]
    assert {recipe.zero_points for recipe in tried} == {EVERYWHERE, UNPADDED, NOWHERE}
    assert {recipe.float_functions for recipe in tried} == {True, False}
    assert None in {recipe.equalize for recipe in tried}
    assert searched_recipes(SPACE, agreement, lambda: True, seed=3, most=22) == first
    assert list(first) == sorted(first, key=agreement, reverse=True)


def test_techniques_that_a_scheme_lacks_are_not_used() -> None:
    found = searched_recipes(SearchSpace(NAMES), agreement, lambda: True, seed=0, most=30)
    assert {(recipe.zero_points, recipe.float_functions) for recipe in found} == {(NOWHERE, False)}


def test_what_folds_adds_nothing_between_layers() -> None:
    found = searched_recipes(SPACE.folded, agreement, lambda: True, seed=0, most=40)
    assert {recipe.zero_points for recipe in found} == {NOWHERE}
    assert {recipe.equalize.multiply for recipe in found if recipe.equalize} == {False}


def test_time_ends_it() -> None:
    assert searched_recipes(SPACE, agreement, lambda: False, seed=0, most=5) == ()
