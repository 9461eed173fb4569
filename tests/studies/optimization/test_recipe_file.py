from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.core.recipes import EVERYWHERE, NOWHERE, UNPADDED, Equalize, Recipe
from calibrant.studies.optimization.recipe_file import RecipeFile, read_recipes, write_recipe

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=10)
recipes = st.builds(
    Recipe,
    words,
    st.none() | st.builds(Equalize, st.floats(0, 1), st.sampled_from(["peak", "typical"]), st.floats(0, 1)),
    st.booleans(),
    st.dictionaries(words, words, max_size=3).map(lambda ranges: tuple(sorted(ranges.items()))),
    st.lists(words, max_size=3, unique=True).map(tuple),
    st.sampled_from([NOWHERE, UNPADDED, EVERYWHERE]),
    st.booleans(),
)


def file_of(recipe: Recipe) -> RecipeFile:
    return RecipeFile(recipe, "m.onnx", "ab", "tensorrt", "cd", "float: 0 of 2 layers", ("keep",), (320, 320))


@given(recipes)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> None:
    path = tmp_path_factory.mktemp("recipe") / "r.yaml"
    write_recipe(path, file_of(recipe))
    assert read_recipes(path)[""] == file_of(recipe)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: [",
        "calibrant_recipe: 2",
        "calibrant_recipe: 1",
        "calibrant_recipe: 3",
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"r\.yaml") as error:
        read_recipes(path)[""]
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_recipes(tmp_path / "none.yaml")[""]


FIRST = """
calibrant_recipe: 1
explanation: float 1 of 2 layers
model: m.onnx
model_sha256: ab
calibration_ids_sha256: cd
scheme: tensorrt
input_shape: [320, 320]
equalize: {strength: 0.5, channels: peak, least_gain: 0.0, multiply: true}
zero_points: unpadded
correct_bias: true
round_weights: false
float_functions: true
calibrator: mse
ranges: {x: minmax~mse}
float: [conv]
kept_float_by_user: [head]
"""


def test_recipes_of_the_first_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(FIRST)
    found = read_recipes(path)[""]
    assert found.exclude == ("head",)
    assert found.recipe == Recipe(
        "mse",
        Equalize(0.5),
        correct_bias=True,
        ranges=(("x", "minmax~mse"),),
        exclude=("conv",),
        zero_points=UNPADDED,
        float_functions=True,
    )


@given(recipes)
def test_a_recipe_comes_back_from_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert Recipe("mse").to_dict() == {"calibrator": "mse"}
