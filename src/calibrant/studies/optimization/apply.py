"""Following a recipe: the same model again, without searching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibrant.calibrators import NamedCalibrator, known_calibrators
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress
from calibrant.core.recipes import BETWEEN, Recipe
from calibrant.core.short_repr import ShortRepr
from calibrant.core.tasks import Reading
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.studies.optimization.deliver import deliver
from calibrant.studies.optimization.model_builder import ModelBuilder
from calibrant.studies.optimization.recipe_file import RecipeFile
from calibrant.studies.optimization.result import OptimizationFiles
from calibrant.studies.plan import StudySettings, ids_sha256
from calibrant.studies.prepare import open_model, quant_plan, require_readable
from calibrant.studies.trust import require_packaged_calibrators


@dataclass(frozen=True, repr=False)
class MadeModel(ShortRepr):
    """What following a recipe wrote, and how it explains itself."""

    out: str
    explanation: str
    files: OptimizationFiles

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return asdict(self)


def follow_recipe(
    model: Path,
    calib: str,
    recipe: RecipeFile,
    recipe_path: Path,
    out: Path,
    part: str = "",
    *,
    task: str,
    family: str,
    options: Mapping[str, Any],
    calib_limit: int | None,
    skip_bad: bool,
    calibrators: Sequence[NamedCalibrator],
    progress: Progress,
) -> MadeModel:
    """Make a recipe's model from a float model and calibration samples and write its files into ``out``.

    recipe_path: the file that the recipe was read from. part: of a model of several files, the recipe's.
    calibrators: of other packages, or functions, that the recipe may name.
    Raises SettingsError where the recipe names what the model does not have, or what it may not.
    """
    names = sorted(_calibrators(recipe.recipe))
    require_packaged_calibrators(names, str(recipe_path), (named.name for named in calibrators))
    settings = StudySettings(scheme=recipe.scheme, exclude=recipe.exclude, input_shape=recipe.input_shape)
    opened = open_model(model, task, family, recipe.input_shape, options, part)
    plan = quant_plan(opened, settings)
    calibration = opened.calibration_set(calib, Reading(calib_limit, skip_bad))
    ids = ids_sha256(sample.id for sample in calibration.samples)
    for remark in _remarks(recipe, opened.model.sha256, ids, opened.definition.words.samples):
        progress.note(remark)
    bound, runtime = opened.task(), runtime_named(REFERENCE)
    require_readable(opened, plan, bound, calibration.samples[0], runtime)
    builder = ModelBuilder(
        plan,
        bound,
        runtime,
        calibration.samples,
        known_calibrators(names, calibrators),
        progress,
    )
    _require_known(recipe.recipe, builder)
    made = builder.quantized(recipe.recipe)
    return MadeModel(str(out), made.explained(recipe.recipe), deliver(recipe, made, out))


def _calibrators(recipe: Recipe) -> set[str]:
    choices = (recipe.calibrator, *(choice for _, choice in recipe.ranges))
    return {name for choice in choices for name in choice.split(BETWEEN)}


def _remarks(recipe: RecipeFile, model_sha256: str, calibration_ids_sha256: str, samples: str) -> list[str]:
    found = []
    if recipe.model_sha256 != model_sha256:
        found.append(f"the recipe was made for another model ({recipe.model}): measure the result")
    if recipe.calibration_ids_sha256 != calibration_ids_sha256:
        found.append(f"the recipe was made with other calibration {samples}: ranges will differ")
    return found


def _require_known(recipe: Recipe, builder: ModelBuilder) -> None:
    tensors = set(builder.transformed(recipe).plan.tensors)
    unknown = [tensor for tensor, _ in recipe.ranges if tensor not in tensors]
    if unknown:
        raise SettingsError(
            f"{len(unknown)} tensors of the recipe are not in this model, e.g. {unknown[0]!r}; "
            "search anew with calibrant optimize"
        )
