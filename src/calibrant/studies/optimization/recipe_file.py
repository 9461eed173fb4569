"""A recipe as a short YAML file: for people to read, and to make the same model again without searching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.versions import require_version
from calibrant.artifacts.yaml_files import read_yaml, write_yaml
from calibrant.core.errors import DataError
from calibrant.core.recipes import Recipe
from calibrant.studies.run import Study
from calibrant.tasks.registry import input_shape_in

KEY = "calibrant_recipe"
VERSION = 2
READABLE = (1, VERSION)
PARTS = "parts"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe and what it was made for: hashes tell whether it is the same model and the same samples."""

    recipe: Recipe
    model: str
    model_sha256: str
    scheme: str
    calibration_ids_sha256: str
    explanation: str
    exclude: tuple[str, ...] = ()
    input_shape: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The file's content; YAML types only."""
        return {
            KEY: VERSION,
            "explanation": self.explanation,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "calibration_ids_sha256": self.calibration_ids_sha256,
            "scheme": self.scheme,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            **self.recipe.to_edit(),
            "excluded_by_user": list(self.exclude),
        }


def recipe_file_of(study: Study, recipe: Recipe, explanation: str) -> RecipeFile:
    """A recipe for the model of a study."""
    return RecipeFile(
        recipe=recipe,
        model=Path(study.model.path).name,
        model_sha256=study.model.sha256,
        scheme=study.settings.scheme,
        calibration_ids_sha256=study.data.calibration_ids_sha256,
        explanation=explanation,
        exclude=study.plan.points.kept_float,
        input_shape=study.settings.input_shape,
    )


def of_parts(recipes: Mapping[str, RecipeFile]) -> dict[str, Any]:
    """The content of a file with recipes for several parts of a model, by part; others stay in float."""
    return {KEY: VERSION, PARTS: {part: recipe.to_dict() for part, recipe in recipes.items()}}


def write_recipe(path: Path, recipe: RecipeFile) -> None:
    """Write the file atomically. Raises OutputError."""
    write_yaml(path, recipe.to_dict())


def read_recipes(path: Path) -> dict[str, RecipeFile]:
    """Recipes by part; "": of a model of one file. Raises DataError for a file that is none."""
    content = read_yaml(path)
    remedy = "make it again: calibrant optimize"
    try:
        parts = content.get(PARTS) if isinstance(content, Mapping) else None
        of_part = {"": content} if parts is None else {str(part): own for part, own in parts.items()}
        return {
            part: _recipe_file(require_version(own, path, READABLE, remedy, KEY))
            for part, own in of_part.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is no recipe ({error}); make one with calibrant optimize") from error


def _input_shape(content: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape that the recipe's model was fixed to; the first recipes gave the side of a square."""
    shape = content.get("input_shape") or input_shape_in(content)
    return None if shape is None else tuple(int(side) for side in shape)


def _recipe_file(content: Mapping[str, Any]) -> RecipeFile:
    by_user = content["excluded_by_user"] if "excluded_by_user" in content else content["kept_float_by_user"]
    return RecipeFile(
        Recipe.from_dict(content),
        str(content["model"]),
        str(content["model_sha256"]),
        str(content["scheme"]),
        str(content["calibration_ids_sha256"]),
        str(content["explanation"]),
        tuple(map(str, by_user)),
        _input_shape(content),
    )
