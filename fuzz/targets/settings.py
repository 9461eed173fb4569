"""What users write: profiles, recipes, and options with a grammar of their own."""

from __future__ import annotations

from contextlib import suppress
from importlib import resources

from calibrant.calibrators import calibrators_named
from calibrant.core.durations import duration_in_seconds
from calibrant.core.plain_yaml import parsed_yaml
from calibrant.runtimes.options import parsed
from calibrant.studies.optimization.recipe_file import read_recipes
from calibrant.tasks.detection.profile import parse_profile
from targets.base import Target, refusals, scratch, spliced

RECIPE = b"""calibrant_recipe: 1
explanation: why
model: m.onnx
model_sha256: '00'
calibration_ids_sha256: '00'
scheme: tensorrt
imgsz: null
equalize: {reach: 4.0}
correct_bias: true
calibrator: minmax
ranges: {a: mse}
float: [Conv_1]
kept_float_by_user: []
"""

OPTIONS = (b"tensorrt:python=/x,precision=fp16", b"percentile:99.9|99,minmax", b"1.5h")


def _yaml(content: bytes) -> None:
    with suppress(ValueError):  # in one line, whatever is in it
        parsed_yaml(spliced(content, RECIPE).decode("utf-8", "replace"))


def _profile(content: bytes) -> None:
    with refusals():
        parse_profile(spliced(content, _profiles()[0]).decode("utf-8", "replace"), "own.yaml")


def _recipe(content: bytes) -> None:
    path = scratch("recipe") / "recipe.yaml"
    path.write_bytes(spliced(content, RECIPE))
    with refusals():
        read_recipes(path)


def _options(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    with refusals():
        parsed(text)
    duration_in_seconds(text)
    if text.isprintable():  # it looks through the installed packages, which takes long
        with refusals():
            calibrators_named(text)


def _profiles() -> list[bytes]:
    folder = resources.files("calibrant.tasks.detection") / "profiles"
    return [(folder / name).read_bytes() for name in ("yolov5.yaml", "nanodet.yaml", "detr.yaml")]


SETTINGS = (
    Target("yaml", _yaml, lambda: [RECIPE, b"a: &a [1, *b]\n<<: *a\n", b"!!binary aGk="]),
    Target("profile", _profile, _profiles),
    Target("recipe", _recipe, lambda: [RECIPE]),
    Target("options", _options, lambda: list(OPTIONS)),
)
