from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.stages.optimization.recipe import EVERYWHERE, NOWHERE, UNPADDED, Equalize, Recipe
from calibrant.studies.optimization.recipe_file import RecipeFile, read_recipe, write_recipe

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
    assert read_recipe(path) == file_of(recipe)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "a: [",
        "calibrant_recipe: 2",
        "calibrant_recipe: 1",
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"r\.yaml") as error:
        read_recipe(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_recipe(tmp_path / "none.yaml")
