"""Following a file of recipes: of one model, or of each part of a model of several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibrant.core.errors import SettingsError
from calibrant.models.onnx.model_folders import model_folder
from calibrant.studies.optimization.apply import MadeModel, follow_recipe
from calibrant.studies.optimization.recipe_file import RecipeFile, read_recipes
from calibrant.studies.optimization.result import OptimizationFiles
from calibrant.studies.pipelines.deliver import FOLDER, copied_parts
from calibrant.studies.prepare import open_parts


def follow_recipes(model: Path, calib: str, recipe_path: Path, out: Path, **how: Any) -> MadeModel:
    """Make the model of a recipe's file again and write its files into ``out``: of parts, each part's into a
    folder of its own, and the whole into ``deploy``.

    how: as for follow_recipe. Raises DataError for a file without recipes, SettingsError for parts that the
    model does not have.
    """
    recipes = read_recipes(recipe_path)
    if set(recipes) == {""}:
        return follow_recipe(model, calib, recipes[""], recipe_path, out, **how)
    return _follow_parts(model, calib, recipes, recipe_path, out, how)


def _follow_parts(
    model: Path, calib: str, recipes: dict[str, RecipeFile], recipe_path: Path, out: Path, how: dict[str, Any]
) -> MadeModel:
    folder = model_folder(model)
    if folder is None or len(folder.parts) < 2:
        raise SettingsError(
            f"{recipe_path} has recipes for {', '.join(recipes)}, and {model} is a model of one file; "
            "give the folder that it was made for"
        )
    made = {}
    for part, recipe in recipes.items():
        (out / part).mkdir(exist_ok=True)
        made[part] = follow_recipe(model, calib, recipe, recipe_path, out / part, part, **how)
    opened = open_parts(folder, how["task"], how["family"], how["options"])
    files = {part: [out / part / found.files.qdq] for part, found in made.items()}
    copied_parts(opened, files, out / FOLDER)
    told = "; ".join(f"{part}: {found.explanation}" for part, found in made.items())
    return MadeModel(str(out), told, OptimizationFiles(FOLDER, None, str(recipe_path)))
