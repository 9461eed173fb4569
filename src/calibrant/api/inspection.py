"""A model described without running it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from calibrant.api.arguments import PathLike, Shape, shape_of
from calibrant.core.schemes import scheme_named
from calibrant.core.tasks import AUTO
from calibrant.studies.inspection import Inspection, PartsInspection, inspect_model
from calibrant.studies.prepare import open_model
from calibrant.studies.sample_reading import read_sample
from calibrant.tasks.registry import input_shape_in


def inspect(
    model: PathLike,
    *,
    task: str = AUTO,
    family: str = AUTO,
    input_shape: Shape = None,
    scheme: str = "tensorrt",
    sample: PathLike | None = None,
    out: PathLike | None = None,
    **options: Any,
) -> Inspection | PartsInspection:
    """Describe a model: signature, task and family, cost, what a scheme would quantize.

    A folder of a model's parts is described part by part.
    What stands in the way of a study, such as an unknown family, is described and not raised. Nothing is run,
    but where a ``sample`` is given: what the family reads from it is drawn in the PNG file ``out``
    (default: ``MODEL.SAMPLE.png`` in the current folder), and what speaks against the family is told.
    Raises ModelError for an unusable file, and CalibrantError for a sample that cannot be read.
    """
    shape = shape_of(input_shape) or input_shape_in(options)
    found = inspect_model(Path(model), task, family, scheme_named(scheme), shape)
    if sample is None:
        return found
    opened = open_model(Path(model), task, family, shape, options)
    picture = None if out is None else Path(out)
    return replace(found, sample=read_sample(opened, Path(sample), picture))
