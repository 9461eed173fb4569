"""A recipe as a short YAML file: for people to read, and to make the same model again without searching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.yaml_files import read_yaml, write_yaml
from calibrant.core.errors import DataError
from calibrant.stages.optimization.recipe import NOWHERE, Equalize, Recipe
from calibrant.tasks.registry import input_shape_in

VERSION = 1


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
            "calibrant_recipe": VERSION,
            "explanation": self.explanation,
            "model": self.model,
            "model_sha256": self.model_sha256,
            "calibration_ids_sha256": self.calibration_ids_sha256,
            "scheme": self.scheme,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            **recipe_to_dict(self.recipe),
            "kept_float_by_user": list(self.exclude),
        }


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """JSON types only."""
    return {
        "equalize": asdict(recipe.equalize) if recipe.equalize else None,
        "zero_points": recipe.zero_points,
        "correct_bias": recipe.correct_bias,
        "round_weights": recipe.round_weights,
        "float_functions": recipe.float_functions,
        "calibrator": recipe.calibrator,
        "ranges": dict(recipe.ranges),
        "float": list(recipe.exclude),
    }


def write_recipe(path: Path, recipe: RecipeFile) -> None:
    """Write the file atomically. Raises OutputError."""
    write_yaml(path, recipe.to_dict())


def read_recipe(path: Path) -> RecipeFile:
    """Read a recipe. Raises DataError for a file that is missing, broken or something else."""
    content = read_yaml(path)
    try:
        return _recipe_file(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is no recipe ({error}); make one with calibrant optimize") from error


def _input_shape(content: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape that the recipe's model was fixed to; the first recipes gave the side of a square."""
    shape = content.get("input_shape") or input_shape_in(content)
    return None if shape is None else tuple(int(side) for side in shape)


def _recipe_file(content: Mapping[str, Any]) -> RecipeFile:
    if content["calibrant_recipe"] != VERSION:
        raise ValueError(f"version {content['calibrant_recipe']}, not {VERSION}")
    equalize = content["equalize"]
    recipe = Recipe(
        calibrator=str(content["calibrator"]),
        equalize=Equalize(**equalize) if equalize is not None else None,
        correct_bias=bool(content["correct_bias"]),
        ranges=tuple(sorted((str(tensor), str(choice)) for tensor, choice in content["ranges"].items())),
        exclude=tuple(map(str, content["float"])),
        zero_points=str(content.get("zero_points", NOWHERE)),
        float_functions=bool(content.get("float_functions", False)),
        round_weights=bool(content.get("round_weights", False)),
    )
    return RecipeFile(
        recipe,
        str(content["model"]),
        str(content["model_sha256"]),
        str(content["scheme"]),
        str(content["calibration_ids_sha256"]),
        str(content["explanation"]),
        tuple(map(str, content["kept_float_by_user"])),
        _input_shape(content),
    )
