"""Models of several files: which part each ONNX file in a folder is, by the names that exporters give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError, ModelError
from calibrant.core.plain_yaml import parsed_yaml
from calibrant.core.reading import is_regular, read_text
from calibrant.core.tasks import AUTO, MODEL, ModelFolder

DESCRIPTIONS = ("pipeline.yaml", "pipeline.yml")
"""A file in the folder that names the parts itself: ``parts: {encoder: enc.onnx, decoder: dec.onnx}``."""

_QUANTIZED = re.compile(r"([._-](int8|uint8|int4|uint4|quantized|q4|q8|qdq|fp16|bnb4|q4f16))+$")
_PARTS: tuple[tuple[str, str, str], ...] = (
    # layout, part, the file's name without .onnx
    ("optimum", "encoder", r"encoder_model"),
    ("optimum", "decoder", r"decoder_model(_merged)?"),
    ("optimum", "decoder_with_past", r"decoder_with_past_model"),
    ("sherpa-onnx", "encoder", r"(.+[-_.])?encoder([-_.].+)?"),
    ("sherpa-onnx", "decoder", r"(.+[-_.])?decoder([-_.].+)?"),
    ("sherpa-onnx", "joiner", r"(.+[-_.])?joiner([-_.].+)?"),
    ("RapidOCR", "det", r"(.+[-_.])?det(ection)?([-_.].+)?"),
    ("RapidOCR", "cls", r"(.+[-_.])?(cls|ori(entation)?)([-_.].+)?"),
    ("RapidOCR", "rec", r"(.+[-_.])?rec(ognition)?([-_.].+)?"),
    (
        "acoustic model and vocoder",
        "acoustic",
        r"(.+[-_.])?(acoustic|fastspeech2?|matcha|model-steps-\d+)([-_.].+)?",
    ),
    (
        "acoustic model and vocoder",
        "vocoder",
        r"(.+[-_.])?(vocoder|vocos|hifigan(_v\d)?|melgan|hifi-gan)([-_.].+)?",
    ),
)
_ORDER = tuple(dict.fromkeys(part for _, part, _ in _PARTS))
_PADDLE = "inference.onnx"


def model_folder(path: Path) -> ModelFolder | None:
    """What lies in a folder, or is named by a YAML file; None: neither, or no ONNX file is in it.

    Raises ModelError where the files cannot be told apart, DataError for a YAML file that is none.
    """
    if path.is_file() and path.suffix.lower() in {".yaml", ".yml"}:
        return _described(path)
    if not path.is_dir():
        return None
    for name in DESCRIPTIONS:
        if (path / name).is_file():
            return _described(path / name)
    files = {_relative(file, path): file for file in _files_of(path)}
    models = {name: file for name, file in files.items() if name.endswith(".onnx")}
    others = {name: file for name, file in files.items() if name not in models}
    models = _float_ones(models)
    if not models:
        return None
    if len(models) == 1:
        return ModelFolder(path, {MODEL: next(iter(models.values()))}, others, "one model")
    layout, parts = _named_parts(path, models)
    return ModelFolder(path, {part: parts[part] for part in _ORDER if part in parts}, others, layout)


def _files_of(path: Path) -> list[Path]:
    """The files in the folder, and in its folders that hold a model (``det/inference.onnx``, ``onnx/``)."""
    inner = [folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return sorted(
        file
        for folder in (path, *(folder for folder in inner if any(folder.glob("*.onnx"))))
        for file in folder.iterdir()
        if file.is_file()
    )


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _float_ones(models: Mapping[str, Path]) -> dict[str, Path]:
    """Without the quantized copies that exporters put beside (``encoder.int8.onnx``)."""
    floats = {name: file for name, file in models.items() if not _QUANTIZED.search(file.stem)}
    return floats or dict(models)


def _named_parts(path: Path, models: Mapping[str, Path]) -> tuple[str, dict[str, Path]]:
    parts: dict[str, list[str]] = {}
    layouts: dict[str, None] = {}
    unknown = []
    for name, file in models.items():
        # Paddle's files all have one name, so that their folders tell them.
        stem = file.parent.name if file.name == _PADDLE else file.stem
        found = _part_of(stem.lower())
        if found is None:
            unknown.append(name)
            continue
        layouts[found[0]] = None
        parts.setdefault(found[1], []).append(name)
    if "decoder" in parts and len(parts["decoder"]) > 1:
        # optimum's merged decoder is both of the others in one.
        merged = [name for name in parts["decoder"] if "merged" in name]
        if len(merged) == 1:
            parts["decoder"] = merged
            parts.pop("decoder_with_past", None)
    twice = next((names for names in parts.values() if len(names) > 1), None)
    if unknown or twice:
        what = (
            f"{unknown[0]!r} is none of the parts that are known"
            if unknown
            else (f"{' and '.join(map(repr, (twice or [])[:2]))} have the name of the same part")
        )
        raise ModelError(
            f"{path} holds {len(models)} models, and {what}; name the parts in {path / DESCRIPTIONS[0]}, "
            "e.g. 'parts: {encoder: a.onnx, decoder: b.onnx}'"
        )
    return next(iter(layouts)), {part: models[names[0]] for part, names in parts.items()}


def _part_of(stem: str) -> tuple[str, str] | None:
    return next((row[:2] for row in _PARTS if re.fullmatch(row[2], stem)), None)


def _described(path: Path) -> ModelFolder:
    try:
        content = parsed_yaml(read_text(path))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is no YAML file: {error}; write e.g. 'parts: {{encoder: a.onnx}}'"
        ) from error
    parts = content.get("parts") if isinstance(content, Mapping) else None
    if not isinstance(parts, Mapping) or not parts:
        raise ModelError(
            f"{path} names no parts; write e.g. 'parts: {{encoder: a.onnx, decoder: b.onnx}}', in the order "
            "in which data flows"
        )
    folder, files = path.parent, content.get("files") or {}
    if not isinstance(files, Mapping):
        raise ModelError(f"{path}: files is no mapping; write e.g. 'files: {{tokens: tokens.txt}}'")
    beside = {_relative(file, folder): file for file in _files_of(folder) if file.suffix != ".onnx"}
    return ModelFolder(
        folder,
        {str(name): _inside(folder, file, path) for name, file in parts.items()},
        {**beside, **{str(name): _inside(folder, file, path) for name, file in files.items()}},
        path.name,
        str(content.get("task", AUTO)),
    )


def _inside(folder: Path, name: Any, path: Path) -> Path:
    file = folder / str(name)
    if not is_regular(file):
        raise ModelError(f"{path} names {str(name)!r:.200}, which is not there; name files beside it")
    return file
