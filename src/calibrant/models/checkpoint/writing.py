"""Quantized checkpoints as compressed-tensors stores them, written block by block.

A block is one file, whole or absent, so that a run that was cut off goes on behind the last one. All else of
the model is copied as it is, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.disk import cannot_write
from calibrant.core.format_names import WeightActivation
from calibrant.core.formats import Format
from calibrant.core.reading import is_regular, read_bytes, sha256_of
from calibrant.core.writing import write_atomically
from calibrant.models.checkpoint.caching import CacheScales
from calibrant.models.checkpoint.folder import CONFIG, INDEX, SUFFIX, Checkpoint
from calibrant.models.checkpoint.layers import EXPERT, HEAD, LINEAR, PARTS, ROUTER, CheckpointLayer, layers_of
from calibrant.models.checkpoint.packing import (
    KEPT,
    QuantizedLayer,
    input_settings,
    layout_of,
    stored_arrays,
    weight_settings,
)
from calibrant.models.checkpoint.tensors import TensorReader, header_of, tensors_bytes

CHECKSUMS = "SHA256SUMS"
_BESIDE = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*")
_LARGEST_BESIDE = 256 * 2**20


class CheckpointWriter:
    """Writes one candidate. Methods raise OutputError with the system's reason.

    formats: of each layer that may be quantized, by its name. prefix: of the blocks' names, e.g.
    ``model.layers``. blocks: how many the model has.
    """

    def __init__(
        self,
        source: Checkpoint,
        folder: Path,
        formats: Mapping[str, WeightActivation],
        prefix: str,
        blocks: int,
    ) -> None:
        self._source, self._folder, self._formats, self._blocks = source, folder, formats, blocks
        self._layouts = {each: layout_of(each) for each in set(formats.values())}
        self._reader = TensorReader(source.tensors)
        self._pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\..+")
        self._pending: dict[str, NDArray[Any]] = {}
        self._replaced: dict[str, NDArray[Any]] = {}
        self._cache_format: Format | None = None

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return self._folder

    def add(self, name: str, layer: QuantizedLayer) -> None:
        """Take a layer of the block that is at work."""
        arrays = stored_arrays(layer, self._layouts[self._formats[name]])
        self._pending |= {f"{name}.{part}": values for part, values in arrays.items()}

    def replace(self, name: str, values: NDArray[Any]) -> None:
        """Put other values in a tensor's place, of the block that is at work."""
        self._replaced[name] = values

    def cache(self, block: str, format: Format, scales: CacheScales) -> None:  # noqa: A002
        """Take the steps of a block's cached keys and values. block: its name."""
        self._cache_format = format
        for kind, step in (("k_scale", scales.keys), ("v_scale", scales.values)):
            self._pending[f"{block}.self_attn.{kind}"] = np.array([step], np.float32)

    def finish_block(self, number: int) -> None:
        """Write the block that is at work."""
        self._write(number, [name for name in self._source.tensors if self._block_of(name) == number])

    def finish(self) -> None:
        """Write what is in no block, the index, the configuration, the files beside it, and checksums."""
        self._write(self._blocks, [name for name in self._source.tensors if self._block_of(name) is None])
        names: dict[str, str] = {}
        total = 0
        for number in range(self._blocks + 1):
            found = header_of(self._folder / self._shard(number))
            names |= dict.fromkeys(found, self._shard(number))
            total += sum(tensor.bytes for tensor in found.values())
        self._put(INDEX, _json({"metadata": {"total_size": total}, "weight_map": names}))
        config = dict(self._source.config)
        config.pop("compression_config", None)
        config["quantization_config"] = self._configuration(names)
        self._put(CONFIG, _json(config))
        self._copy_beside()
        self._write_checksums()

    def _configuration(self, names: Mapping[str, str]) -> dict[str, Any]:
        used: dict[WeightActivation, list[str]] = {}
        for name in sorted(_quantized(names)):
            used.setdefault(self._formats[name], []).append(name)
        layouts = {self._layouts[each] for each in used}
        return {
            "quant_method": "compressed-tensors",
            "format": _one_of(layouts),
            "quantization_status": "compressed",
            "global_compression_ratio": None,
            "kv_cache_scheme": None if self._cache_format is None else weight_settings(self._cache_format),
            "ignore": _ignored(layers_of(self._source), _quantized(names)),
            "config_groups": {
                f"group_{number}": self._group(each, ["Linear"] if len(used) == 1 else members)
                for number, (each, members) in enumerate(used.items())
            },
        }

    def _group(self, formats: WeightActivation, targets: list[str]) -> dict[str, Any]:
        assert formats.weights is not None
        return {
            "targets": targets,
            "weights": weight_settings(formats.weights),
            "input_activations": input_settings(formats.activations),
            "output_activations": None,
            "format": self._layouts[formats],
        }

    def _block_of(self, name: str) -> int | None:
        found = self._pattern.fullmatch(name)
        return int(found[1]) if found and int(found[1]) < self._blocks else None

    def _shard(self, number: int) -> str:
        return f"model-{number + 1:05d}-of-{self._blocks + 1:05d}{SUFFIX}"

    def _write(self, number: int, names: list[str]) -> None:
        replaced = {name.rpartition(".")[0] for name in self._pending if name.endswith("weight_scale")}
        kept = {
            name: self._replaced[name] if name in self._replaced else self._reader.raw(name)
            for name in names
            if name.rpartition(".")[0] not in replaced or name.rpartition(".")[2] not in PARTS
        }
        self._put(self._shard(number), tensors_bytes(kept | dict(sorted(self._pending.items()))))
        self._pending, self._replaced = {}, {}

    def _copy_beside(self) -> None:
        for pattern in _BESIDE:
            for path in sorted(self._source.folder.glob(pattern)):
                if path.name not in (CONFIG, INDEX) and is_regular(path):
                    self._put(path.name, read_bytes(path, _LARGEST_BESIDE))

    def _write_checksums(self) -> None:
        files = sorted(path for path in self._folder.iterdir() if path.name != CHECKSUMS)
        lines = (f"{sha256_of(path)}  {path.name}\n" for path in files)
        self._put(CHECKSUMS, "".join(lines).encode())

    def _put(self, name: str, content: bytes) -> None:
        try:
            write_atomically(self._folder / name, content)
        except OSError as error:
            raise cannot_write(self._folder / name, error, "choose another folder with --out") from error


def _one_of(layouts: set[str]) -> str:
    """What compressed-tensors calls a model of these layouts; none: only its cache is quantized."""
    if not layouts:
        return KEPT
    return next(iter(layouts)) if len(layouts) == 1 else "mixed-precision"


def _quantized(names: Mapping[str, str]) -> set[str]:
    """Layers with scales beside their weights."""
    return {name.removesuffix(".weight_scale") for name in names if name.endswith(".weight_scale")}


def _ignored(layers: tuple[CheckpointLayer, ...], quantized: set[str]) -> list[str]:
    """Matrix products that stay in float: many of one kind in all blocks as one pattern."""
    left = [layer for layer in layers if layer.role in (LINEAR, EXPERT, ROUTER, HEAD)]
    left_out = [layer for layer in left if layer.name not in quantized]
    patterns = {_pattern(layer.name) for layer in left_out}
    whole = {
        pattern
        for pattern in patterns
        if pattern.startswith("re:") and not any(re.match(pattern[3:], name) for name in quantized)
    }
    single = {layer.name for layer in left_out if _pattern(layer.name) not in whole}
    return sorted(whole | single)


def _pattern(name: str) -> str:
    """A layer's name in whatever block and expert."""
    parts = name.split(".")
    if not any(part.isdigit() for part in parts):
        return name
    inner = r"\.".join(r"\d+" if part.isdigit() else re.escape(part) for part in parts)
    return f"re:^{inner}$"


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
