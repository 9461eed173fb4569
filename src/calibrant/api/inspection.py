"""A model described without running it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.core.schemes import scheme_named
from calibrant.studies.inspection import Inspection, inspect_model
from calibrant.studies.prepare import AUTO
from calibrant.studies.sample_reading import read_sample


def inspect(
    model: PathLike,
    *,
    family: str = AUTO,
    imgsz: int | None = None,
    scheme: str = "tensorrt",
    sample: PathLike | None = None,
    out: PathLike | None = None,
) -> Inspection:
    """Describe a model: signature, family, cost, what a scheme would quantize.

    What stands in the way of a study, such as an unknown family, is described and not raised. Nothing is run,
    but where a ``sample`` (an image) is given: what the family reads from it is drawn in the PNG file ``out``
    (default: ``MODEL.SAMPLE.png`` in the current folder), and what speaks against the family is told.
    Raises ModelError for an unusable file, and CalibrantError for a sample that cannot be read.
    """
    found = inspect_model(Path(model), family, scheme_named(scheme), imgsz)
    if sample is None:
        return found
    picture = None if out is None else Path(out)
    return replace(found, sample=read_sample(Path(model), Path(sample), family, imgsz, picture))
