"""A checkpoint's folder: config.json and safetensors files, described from their headers alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.core.errors import ModelError
from calibrant.core.reading import is_regular, read_text, sha256_of
from calibrant.models.checkpoint.tensors import StoredTensor, header_of

CONFIG, INDEX, SUFFIX = "config.json", "model.safetensors.index.json", ".safetensors"
_LARGEST_JSON = 256 * 2**20


@dataclass(frozen=True)
class Checkpoint:
    """A model's folder: its configuration, and every tensor with the place where its values lie.

    ``quantization`` is what config.json says of a model that is quantized already. folder: of a GGUF file,
    the file itself; header_sha256 is of what stands in it before the values.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    header_sha256: str | None = None

    @property
    def is_gguf(self) -> bool:
        """Whether it is one file of llama.cpp."""
        return self.header_sha256 is not None

    @property
    def config_sha256(self) -> str:
        """A hash of its configuration."""
        return self.header_sha256 or sha256_of(self.folder / CONFIG)

    @property
    def model_type(self) -> str:
        """The architecture's name, as transformers has it."""
        return str(self.config["model_type"])

    @property
    def quantization(self) -> Mapping[str, Any] | None:
        """How the stored weights are quantized; None: they are not."""
        found = self.config.get("quantization_config") or self.config.get("compression_config")
        return found if isinstance(found, dict) else None

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors.values())


def is_checkpoint(path: Path) -> bool:
    """Whether a path is a folder with a configuration and safetensors in it, or a GGUF file."""
    if path.suffix == ".gguf":
        return path.is_file()
    return path.is_dir() and (path / CONFIG).is_file() and any(path.glob(f"*{SUFFIX}"))


def open_checkpoint(folder: Path) -> Checkpoint:
    """Describe a checkpoint, a folder or a GGUF file, without reading a weight.

    Raises ModelError in one line: no folder, no configuration, a shard that is missing or damaged, two shards
    with the same tensor.
    """
    if folder.suffix == ".gguf" and folder.is_file():
        from calibrant.models.checkpoint.gguf_files import open_gguf

        return open_gguf(folder)
    if not folder.is_dir():
        raise ModelError(f"{folder} is no folder; give the one that holds {CONFIG} and *{SUFFIX}")
    config = _json(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise ModelError(f"{folder / CONFIG} names no model_type; is this a model of transformers?")
    tensors: dict[str, StoredTensor] = {}
    for shard in _shards(folder):
        found = header_of(shard)
        if twice := sorted(found.keys() & tensors.keys()):
            raise ModelError(
                f"{len(twice)} tensors are in two files, e.g. {twice[0]!r} in {tensors[twice[0]].file.name} "
                f"and {shard.name}; take the files of another model out of {folder}"
            )
        tensors |= found
    _require_indexed(folder, tensors)
    return Checkpoint(folder, config, tensors)


def _shards(folder: Path) -> list[Path]:
    if not (folder / INDEX).is_file():
        found = sorted(folder.glob(f"*{SUFFIX}"))
        if not found:
            raise ModelError(f"{folder} holds no {SUFFIX} file; convert the model with transformers first")
        return found
    names = sorted(set(_weight_map(folder).values()))
    for name in names:
        if Path(name).name != name or not name.endswith(SUFFIX):
            raise ModelError(
                f"{folder / INDEX} names the file {name!r:.200}, which is no shard of this folder"
            )
        if not is_regular(folder / name):
            raise ModelError(f"{name!r:.200} of {folder} is missing, and {INDEX} names it; get the file")
    return [folder / name for name in names]


def _require_indexed(folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
    if not (folder / INDEX).is_file():
        return
    lost = sorted(_weight_map(folder).keys() - tensors.keys())
    if lost:
        raise ModelError(f"{len(lost)} tensors of {folder / INDEX} are in no shard, e.g. {lost[0]!r}")


def _weight_map(folder: Path) -> dict[str, str]:
    found = _json(folder / INDEX).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise ModelError(f"{folder / INDEX} holds no weight_map; get it again or delete it")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, _LARGEST_JSON))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object")
    return content
