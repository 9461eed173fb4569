"""What an optimization hands over: the model, its encodings, its recipe, and a cache where one can serve."""

from __future__ import annotations

from pathlib import Path

from calibrant.artifacts.encodings import write_encodings
from calibrant.artifacts.store import remove, write_bytes
from calibrant.calibrators import calibrators_named
from calibrant.core.recipes import Recipe
from calibrant.models.onnx.model import save_model
from calibrant.studies.candidates import cache_of
from calibrant.studies.optimization.model_builder import Quantized
from calibrant.studies.optimization.recipe_file import RecipeFile, write_recipe
from calibrant.studies.optimization.result import OptimizationFiles
from calibrant.targets.tensorrt.cache import dumps

STEM = "optimized"
RECIPE = f"{STEM}.recipe.yaml"
CACHE, FLOAT_MODEL = f"{STEM}.cache", f"{STEM}.float.onnx"
OPTIONAL = (CACHE, FLOAT_MODEL, f"{FLOAT_MODEL}.data", f"{STEM}.qdq.onnx.data")
"""What some optimizations write and others do not."""


def deliver(recipe: RecipeFile, made: Quantized, out: Path) -> OptimizationFiles:
    """Write the files to deploy into ``out``. Raises OutputError.

    A calibration cache speaks of tensors of the float model, so it comes with the transformed float model; it
    cannot say which layers stay in float, so there is none where some do.
    """
    stems = {
        "qdq": f"{STEM}.qdq.onnx",
        "encodings": f"{STEM}.encodings.json",
        "recipe": RECIPE,
    }
    made.write(out / stems["qdq"])
    write_encodings(out / stems["encodings"], made.encodings, made.plan.scheme.name, made.plan.model.sha256)
    write_recipe(out / stems["recipe"], recipe)
    return OptimizationFiles(**stems, **_cache(recipe.recipe, made, out))


def _cache(recipe: Recipe, made: Quantized, out: Path) -> dict[str, str]:
    names = {"cache": CACHE, "float_model": FLOAT_MODEL}
    if not made.plan.scheme.has_caches or recipe.exclude:
        for name in names.values():
            remove(out / name)
        return {}
    calibrator = calibrators_named("entropy2")[0]
    scales = {tensor: float(encoding.scale) for tensor, encoding in made.encodings.items()}
    write_bytes(out / names["cache"], dumps(cache_of(scales, calibrator)).encode())
    save_model(made.plan.model.ir, out / names["float_model"])
    return names
