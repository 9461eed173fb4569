"""What was written for a target is read again, run on random values, and held against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.core.errors import DataError
from calibrant.core.types import ConvertingRuntime, Feeds, ModelSignature, Runtime
from calibrant.models.onnx.model import load_model, signature_of


def finite(runtime: Runtime, model: Path) -> str:
    """Run a model on random values. Raises RuntimeFailedError, DataError where an output is not finite."""
    for name, values in _outputs(runtime, model).items():
        if not np.all(np.isfinite(np.asarray(values, dtype=np.float64))):
            raise DataError(
                f"{model.name} gives {name!r} that is not finite on random values; deploy another"
            )
    return "its outputs on random values are finite"


def agreement(runtime: ConvertingRuntime, file: Path, reference: Runtime, model: Path) -> str:
    """How far a converted model's outputs lie from the reference's, on random values."""
    feeds = _random_feeds(signature_of(load_model(model)))
    with runtime.open_converted(file) as converted, reference.open(model) as measured:
        found, told = converted.run(feeds), measured.run(feeds)
    worst = max(_distance(np.asarray(found[name]), np.asarray(told[name])) for name in told)
    return (
        f"read again by {runtime.name}; its outputs on random values lie within "
        f"{worst:.2g} of the range of those of {model.name} in {reference.name}"
    )


def _distance(found: np.ndarray[Any, Any], told: np.ndarray[Any, Any]) -> float:
    if found.shape != told.shape:
        raise DataError(f"the converted model gives {found.shape} where the measured one gives {told.shape}")
    span = float(np.ptp(told)) or 1.0
    return float(np.max(np.abs(found.astype(np.float64) - told.astype(np.float64)), initial=0.0)) / span


def _outputs(runtime: Runtime, model: Path) -> Mapping[str, Any]:
    with runtime.open(model) as session:
        return session.run(_random_feeds(signature_of(load_model(model))))


def _random_feeds(signature: ModelSignature) -> Feeds:
    """Values between 0 and 1 for every input; free dimensions are 1, whole numbers are 0."""
    generator = np.random.default_rng(0)
    feeds = {}
    for info in signature.inputs:
        shape, dtype = [size or 1 for size in info.shape], np.dtype(info.dtype)
        drawn = generator.random(shape) if dtype.kind == "f" else np.zeros(shape)
        feeds[info.name] = drawn.astype(dtype)
    return feeds
