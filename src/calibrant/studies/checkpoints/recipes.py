"""Which candidates a checkpoint's study has: methods, formats and calibrators combined."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.calibrators import NamedCalibrator
from calibrant.core.errors import SettingsError
from calibrant.core.format_names import WeightActivation, format_named
from calibrant.core.formats import Format, PerBlock
from calibrant.core.recipes import Recipe
from calibrant.methods import method_named
from calibrant.methods.registry import SumOfParts
from calibrant.models.checkpoint.folder import open_checkpoint
from calibrant.models.checkpoint.layers import QUANTIZABLE, CheckpointLayer, layers_of
from calibrant.models.checkpoint.statistics import Wanted

FIRST_LOOK = ("rtn", "mse", "gptq", "mse+gptq")
"""Methods that are tried where the user names none."""

FIRST_LOOK_AT_8_BITS = ("rtn", "smoothquant")
"""In 8 bits rounding to nearest is as good as anything; what is scaled matters where inputs are rounded."""

DEFAULT_GROUPS = (128, 64, 32)


@dataclass(frozen=True)
class CheckpointRecipe:
    """A recipe whose names are looked up; a calibrator where activations have fixed ranges."""

    method: SumOfParts
    formats: WeightActivation
    calibrator: NamedCalibrator | None = None

    @property
    def name(self) -> str:
        """Unique in a study, e.g. ``gptq:w4a16-g32`` or ``rtn:w8a8-static:mse``."""
        if self.formats.weights is None:
            return self.formats.name
        parts = (self.method.name, self.formats.name, self.calibrator.name if self.calibrator else None)
        return ":".join(filter(None, parts))

    @property
    def simplicity(self) -> int:
        """Orders ties: less is simpler."""
        method = self.method
        parts = (method.transform is not None, method.rounding is not None, method.grid != "rtn")
        rank = sum(weight for weight, is_there in zip((4, 2, 1), parts, strict=True) if is_there)
        return 10 * rank + (self.calibrator.simplicity if self.calibrator else 0)

    def to_dict(self) -> dict[str, Any]:
        """As study.json holds it."""
        calibrator = self.calibrator.name if self.calibrator else ""
        return Recipe(calibrator, method=self.method.name, format=self.formats.name).to_dict()


def file_stem(name: str) -> str:
    """A candidate's name as part of a file name."""
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in name)


def recipes_named(
    methods: str | None,
    formats: str | None,
    calibrators: Sequence[NamedCalibrator],
    layers: Sequence[CheckpointLayer],
) -> tuple[CheckpointRecipe, ...]:
    """Every method with every format; with every calibrator where activations have fixed ranges.

    None: a few that are worth a first look. Raises SettingsError for unknown names and for none at all.
    """
    chosen = [format_named(name) for name in _split(formats) or default_formats(layers)]
    found = [
        recipe
        for entry in chosen
        for name in _methods_of(entry, methods)
        for recipe in _recipes(method_named(name), entry, calibrators)
    ]
    twice = {recipe.name for recipe in found if [r.name for r in found].count(recipe.name) > 1}
    if twice:
        raise SettingsError(f"{min(twice)!r} is named twice; name each method and format once")
    return tuple(found)


def default_formats(layers: Sequence[CheckpointLayer]) -> tuple[str, ...]:
    """INT4 weights in the largest usual groups that divide all inputs, INT8 and FP8."""
    group = next((g for g in DEFAULT_GROUPS if all(layer.shape[1] % g == 0 for layer in layers)), None)
    return (f"w4a16-g{group}" if group else "w4a16-channel", "w8a8", "fp8")


def quantized_layers(folder: Path) -> list[CheckpointLayer]:
    """The layers of a checkpoint that are quantized. Raises ModelError."""
    return [layer for layer in layers_of(open_checkpoint(folder)) if layer.role in QUANTIZABLE]


def mixed_formats(folder: Path) -> str:
    """Formats of weights that layers of a model may have, from small to large. Raises ModelError."""
    four = default_formats(quantized_layers(folder))[0]
    return f"{four.replace('w4', 'w3')},{four},w8a16"


def fits(format: Format, shape: tuple[int, int]) -> bool:  # noqa: A002
    """Whether a matrix can be stored in a format: whether its blocks divide the inputs."""
    return not isinstance(format.granularity, PerBlock) or shape[1] % format.granularity.size == 0


def formats_fit(formats: WeightActivation, shape: tuple[int, int]) -> bool:
    """Whether a layer can have these formats: whether blocks of its weight and of its inputs divide these."""
    if formats.weights is None:
        return False
    inputs = formats.activations
    return fits(formats.weights, shape) and (inputs is None or fits(inputs, shape))


def stored_bytes(format: Format | None, layer: CheckpointLayer) -> int:  # noqa: A002
    """Bytes that a layer takes in a format, with scales and zero points; None, or no fit: as it is now."""
    if format is None or not fits(format, layer.shape):
        return layer.bytes
    return math.ceil(layer.size * format.bits_per_value(layer.shape) / 8)


def wanted_by(recipes: Iterable[CheckpointRecipe]) -> Wanted:
    """The statistics that these recipes need."""
    found = tuple(recipes)
    return Wanted(
        caches=any(recipe.formats.cache is not None for recipe in found),
        moments=any(recipe.method.needs_moments for recipe in found),
        histograms=any(recipe.calibrator is not None for recipe in found),
    )


def _recipes(
    method: SumOfParts, entry: WeightActivation, calibrators: Sequence[NamedCalibrator]
) -> list[CheckpointRecipe]:
    if entry.weights is None:
        return [CheckpointRecipe(method_named("rtn"), entry)]
    inputs = entry.activations
    if inputs is None or inputs.dynamic:
        return [CheckpointRecipe(method, entry)]
    return [CheckpointRecipe(method, entry, calibrator) for calibrator in calibrators]


def _methods_of(entry: WeightActivation, methods: str | None) -> Sequence[str]:
    """Those that are asked for, or a few; where weights stay in float there is one."""
    return ("rtn",) if entry.weights is None else _split(methods) or _first_look(entry)


def _first_look(entry: WeightActivation) -> tuple[str, ...]:
    assert entry.weights is not None
    if entry.weights.element.bits < 8:
        return FIRST_LOOK
    is_int8 = entry.weights.element.is_integer and entry.activations is not None
    return FIRST_LOOK_AT_8_BITS if is_int8 else FIRST_LOOK_AT_8_BITS[:1]


def _split(names: str | None) -> list[str]:
    return [] if names is None else list(filter(None, (name.strip() for name in names.split(","))))
