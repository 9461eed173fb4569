import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.recipes import Recipe
from calibrant.core.types import Range
from calibrant.stages.optimization.ranges import blended, improved_ranges

RANGES = {
    "minmax": {"a": Range(-8, 8), "b": Range(-2, 2), "c": Range(-1, 1)},
    "mse": {"a": Range(-4, 4), "b": Range(-1, 1), "c": Range(-1, 1)},
    "entropy2": {"a": Range(-1, 1), "b": Range(-0.5, 0.5), "c": Range(-1, 1)},
}


def always() -> bool:
    return True


@given(st.floats(0.001, 100), st.floats(0.001, 100))
def test_a_blend_lies_between_its_ranges(x: float, y: float) -> None:
    mixed = blended("p~q", {"p": Range(-x, x), "q": Range(-y, y)})
    assert min(x, y) * 0.999 <= mixed.amax <= max(x, y) * 1.001
    assert mixed.low == -mixed.high


def test_one_sided_ranges_stay_so() -> None:
    assert blended("p~q", {"p": Range(0, 4), "q": Range(0, 1)}) == Range(0, 2)
    assert blended("p", {"p": Range(-0.3, 4)}) == Range(-0.3, 4)
    with pytest.raises(KeyError):
        blended("other", {"p": Range(0, 1)})


def test_each_tensor_gets_the_range_that_serves() -> None:
    wanted = {"a": 1.0, "b": 2.0, "c": 1.0}

    def agreement(recipe: Recipe) -> float:
        choices = dict(recipe.ranges)
        sizes = {
            t: blended(choices.get(t, recipe.calibrator), {n: r[t] for n, r in RANGES.items()}).amax
            for t in wanted
        }
        return -sum(abs(sizes[t] - wanted[t]) for t in wanted)

    found = improved_ranges(Recipe("mse"), RANGES, agreement, always)
    assert dict(found.ranges) == {"a": "entropy2", "b": "minmax"}


def test_a_tensor_on_which_calibrators_agree_is_never_tried() -> None:
    tried: list[Recipe] = []

    def agreement(recipe: Recipe) -> float:
        tried.append(recipe)
        return 0.0

    assert improved_ranges(Recipe("mse"), RANGES, agreement, always) == Recipe("mse")
    assert all("c" not in dict(recipe.ranges) for recipe in tried)
    assert [next(iter(dict(recipe.ranges))) for recipe in tried[1:]] == ["a", "a", "a", "b", "b"]


def test_the_search_ends_when_time_is_up() -> None:
    asked = iter([True, False])
    tried: list[Recipe] = []

    def agreement(recipe: Recipe) -> float:
        tried.append(recipe)
        return float(len(tried))

    found = improved_ranges(Recipe("mse"), RANGES, agreement, lambda: next(asked))
    assert len(tried) == 2
    assert found == tried[1]
