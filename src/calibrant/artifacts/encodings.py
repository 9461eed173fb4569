"""Encodings as a versioned JSON file: what every tensor's numbers mean, for any tool to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.artifacts.store import write_json
from calibrant.artifacts.versions import read_versioned
from calibrant.core.errors import DataError
from calibrant.core.formats import PerTile, PerToken
from calibrant.core.types import Encoding, Granularity, PerBlock, PerChannel, PerTensor, QuantSpec

SCHEMA_VERSION = 1
_GRANULARITIES: dict[str, type[Granularity]] = {
    "per_tensor": PerTensor,
    "per_channel": PerChannel,
    "per_block": PerBlock,
    "per_tile": PerTile,
    "per_token": PerToken,
}


def write_encodings(path: Path, encodings: Mapping[str, Encoding], scheme: str, model_sha256: str) -> None:
    """Write the encodings of a model's activations atomically. Raises OutputError."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "formula": "real = (integer - zero_point) * scale",
        "scheme": scheme,
        "model_sha256": model_sha256,
        "activations": {tensor: _to_dict(encodings[tensor]) for tensor in sorted(encodings)},
    }
    write_json(path, content)


def read_encodings(path: Path) -> dict[str, Encoding]:
    """Read what :func:`write_encodings` wrote, to the last bit. Raises DataError for any other file."""
    content = read_versioned(path, (SCHEMA_VERSION,), "calibrate again")
    try:
        return {tensor: _from_dict(entry) for tensor, entry in content["activations"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is no file of encodings: {error}; calibrate again") from error


def _to_dict(encoding: Encoding) -> dict[str, Any]:
    spec = encoding.spec
    kind = next(name for name, made in _GRANULARITIES.items() if isinstance(spec.granularity, made))
    return {
        "scale": encoding.scale.astype(np.float64).tolist(),
        "zero_point": encoding.zero_point.tolist(),
        "dtype": spec.dtype,
        "symmetric": spec.symmetric,
        "narrow": spec.narrow,
        "granularity": {"kind": kind, **asdict(spec.granularity)},
    }


def _from_dict(entry: Mapping[str, Any]) -> Encoding:
    granularity = dict(entry["granularity"])
    made: Granularity = _GRANULARITIES[granularity.pop("kind")](**granularity)
    spec = QuantSpec(entry["dtype"], bool(entry["symmetric"]), made, bool(entry["narrow"]))
    scale = np.asarray(entry["scale"], np.float32)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("a scale is not positive")
    return Encoding(scale, np.asarray(entry["zero_point"], np.int64), spec)
