"""What exporters write into an ONNX file about the model; only Ultralytics' keys are of use here."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibrant.core.errors import ModelError

_DESCRIPTION = re.compile(r"Ultralytics ([\w.+-]{1,40}) model")
_VERSION = re.compile(r"\d{1,4}\.\d{1,4}")


@dataclass(frozen=True)
class ExporterNotes:
    """Class names by position, and the input's height and width in pixels; None where not said.

    title: the model and its exporter as people call them, e.g. "YOLO11n (Ultralytics 8.4)".
    """

    class_names: tuple[str, ...] | None = None
    input_size: tuple[int, int] | None = None
    title: str | None = None

    @property
    def is_rtdetr(self) -> bool:
        """Whether the exporter calls it an RT-DETR."""
        return self.title is not None and self.title.lower().startswith(("rtdetr", "rt-detr"))


def exporter_notes(metadata: Mapping[str, str]) -> ExporterNotes:
    """Read an ONNX file's metadata. Raises ModelError when it says that the model is no detector."""
    task = metadata.get("task", "detect")
    if task != "detect":
        raise ModelError(
            f"the model's metadata says task '{task[:40]}'; only detectors can be ranked, so export one"
        )
    return ExporterNotes(
        class_names=_names(_literal(metadata.get("names"))),
        input_size=_size(_literal(metadata.get("imgsz"))),
        title=_title(metadata),
    )


def _title(metadata: Mapping[str, str]) -> str | None:
    """From Ultralytics' description, "Ultralytics YOLO11n model trained on coco.yaml", and version."""
    described = _DESCRIPTION.match(metadata.get("description", ""))
    if described is None:
        return None
    version = _VERSION.match(metadata.get("version", ""))
    return f"{described[1]} (Ultralytics{f' {version[0]}' if version else ''})"


def _literal(text: str | None) -> Any:
    """The Python literal that a text holds; None when it holds none. Nothing is evaluated."""
    if text is None:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _names(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, Mapping) and sorted(value, key=str) == sorted(range(len(value)), key=str):
        value = [value[index] for index in range(len(value))]
    if not isinstance(value, list | tuple) or not value:
        return None
    try:
        return tuple(str(name) for name in value)
    except ValueError:  # an integer of thousands of digits
        return None


def _size(value: Any) -> tuple[int, int] | None:
    sizes = [value, value] if isinstance(value, int) else value
    if not isinstance(sizes, list | tuple) or len(sizes) != 2:
        return None
    return (sizes[0], sizes[1]) if all(type(size) is int and size > 0 for size in sizes) else None
