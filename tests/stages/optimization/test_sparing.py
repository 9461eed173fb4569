from calibrant.stages.optimization.recipe import Recipe
from calibrant.stages.optimization.sparing import spared

MACS = {"big": 900, "head": 40, "stem": 40, "dull": 20}
WORTH = {"big": 0.5, "head": 0.3, "stem": 0.1, "dull": 0.0}


def agreement(recipe: Recipe) -> float:
    return 0.4 + sum(WORTH[node] for node in recipe.keep_float)


def always() -> bool:
    return True


def test_layers_are_spared_by_what_they_bring_for_their_cost() -> None:
    found = [r.keep_float for r in spared(Recipe("mse"), MACS, 0.9, agreement, always, always)]
    assert found == [("head",), ("head", "stem")]  # big costs too much, dull brings nothing


def test_the_least_share_holds() -> None:
    found = [r.keep_float for r in spared(Recipe("mse"), MACS, 0.95, agreement, always, always)]
    assert found == [("head",)]
    assert not list(spared(Recipe("mse"), MACS, 1.0, agreement, always, always))


def test_what_one_layer_made_superfluous_is_not_spared_too() -> None:
    def overlapping(recipe: Recipe) -> float:
        return max((WORTH[node] for node in recipe.keep_float), default=0.0)

    found = [r.keep_float for r in spared(Recipe("mse"), MACS, 0.9, overlapping, always, always)]
    assert found == [("head",)]


def test_time_ends_it() -> None:
    assert not list(spared(Recipe("mse"), MACS, 0.9, agreement, lambda: False, always))
