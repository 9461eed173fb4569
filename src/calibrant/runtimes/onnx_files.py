"""What runtimes that do not read ONNX themselves ask of a file."""

from __future__ import annotations

from pathlib import Path

import onnx

from calibrant.core.reading import read_bytes
from calibrant.runtimes.vendors import in_our_words


def output_names(model: Path) -> tuple[str, ...]:
    """The names of a graph's outputs, in order. Raises RuntimeFailedError for what is no model."""
    with in_our_words(f"{model.name} cannot be read any more"):
        graph = onnx.load_model_from_string(read_bytes(model)).graph
    return tuple(value.name for value in graph.output)
