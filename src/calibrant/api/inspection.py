"""A model described without running it."""

from __future__ import annotations

from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.core.schemes import scheme_named
from calibrant.studies.inspection import Inspection, inspect_model
from calibrant.studies.prepare import AUTO


def inspect(
    model: PathLike, *, family: str = AUTO, imgsz: int | None = None, scheme: str = "tensorrt"
) -> Inspection:
    """Describe a model without running it: signature, family, cost, what a scheme would quantize.

    What stands in the way of a study, such as an unknown family, is described and not raised.
    Raises ModelError for an unusable file.
    """
    return inspect_model(Path(model), family, scheme_named(scheme), imgsz)
