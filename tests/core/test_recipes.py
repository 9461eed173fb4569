from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.recipes import Equalize, Recipe

names = st.sampled_from(["minmax", "mse", "entropy2", "minmax~mse"])
tensors = st.sampled_from(["a", "b", "c"])
recipes = st.builds(
    Recipe,
    names,
    st.none() | st.builds(Equalize, st.sampled_from([0.0, 0.5])),
    st.booleans(),
    st.dictionaries(tensors, names).map(lambda ranges: tuple(sorted(ranges.items()))),
    st.lists(tensors, unique=True).map(tuple),
)


@given(recipes, recipes)
def test_recipes_have_one_key_exactly_when_they_make_one_model(a: Recipe, b: Recipe) -> None:
    same = replace(a, exclude=()) == replace(b, exclude=()) and set(a.exclude) == set(b.exclude)
    assert (a.key == b.key) == same


@given(recipes, tensors, names)
def test_a_range_of_the_default_calibrator_is_no_exception(recipe: Recipe, tensor: str, name: str) -> None:
    changed = recipe.with_range(tensor, name)
    assert dict(changed.ranges).get(tensor, changed.calibrator) == name
    assert recipe.with_range(tensor, recipe.calibrator).with_range(tensor, recipe.calibrator).ranges == tuple(
        item for item in recipe.ranges if item[0] != tensor
    )


@given(recipes)
def test_without_its_techniques_only_the_calibrator_is_left(recipe: Recipe) -> None:
    plain = recipe
    for technique in recipe.techniques:
        assert technique not in recipe.without(technique).techniques
        plain = plain.without(technique)
    assert plain == Recipe(recipe.calibrator)


def test_nodes_are_spared_once_and_ranges_are_counted() -> None:
    recipe = Recipe("mse", ranges=(("a", "minmax"),)).with_float("n").with_float("n", "m")
    assert recipe.exclude == ("n", "m")
    assert recipe.range_counts(5) == {"mse": 4, "minmax": 1}
