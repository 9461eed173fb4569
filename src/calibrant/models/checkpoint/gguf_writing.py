"""Quantized checkpoints as GGUF files, written block by block.

Each block is a part of its own, whole or absent; the file is put together of the parts at the end, and they
go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.disk import cannot_write
from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.format_names import WeightActivation
from calibrant.core.formats import F16, INT4, INT8, UINT4, Format, PerBlock
from calibrant.core.reading import read_text, sha256_of
from calibrant.core.writing import write_atomically
from calibrant.models.checkpoint.caching import CacheScales
from calibrant.models.checkpoint.folder import SUFFIX, Checkpoint
from calibrant.models.checkpoint.gguf_files import (
    ARCHITECTURES,
    Entry,
    block_bytes,
    header_bytes,
    interleaved,
    padded,
    read_header,
    their_name,
)
from calibrant.models.checkpoint.packing import QuantizedLayer
from calibrant.models.checkpoint.tensors import TensorReader, header_of, tensors_bytes
from calibrant.models.checkpoint.weights import Weights

FILE, CHECKSUMS = "model.gguf", "SHA256SUMS"
_FILE_TYPES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7}
_LARGEST_JSON = 256 * 2**20
_KINDS = {(INT4, True): "Q4_0", (UINT4, False): "Q4_1", (INT8, True): "Q8_0"}
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
# What llama.cpp calls the rule by which text is cut before it is merged, by architecture.
_CUT = {"qwen2": "qwen2", "qwen3": "qwen2", "llama": "llama-bpe", "mistral": "llama-bpe"}


def gguf_type(formats: WeightActivation) -> str | None:
    """Ggml's type of a format; None: it has none."""
    weights = formats.weights
    if weights is None or formats.activations is not None or formats.cache is not None:
        return None
    if weights.granularity != PerBlock(-1, 32) or weights.scale_type != F16:
        return None
    return _KINDS.get((weights.element, weights.symmetric))


def can_be_gguf(checkpoint: Checkpoint) -> bool:
    """Whether a model's architecture is among those that are written."""
    return _architecture_of(checkpoint) in ARCHITECTURES


def _architecture_of(checkpoint: Checkpoint) -> str:
    """What ggml calls a model's architecture; Mistral's is Llama's."""
    return {"mistral": "llama"}.get(checkpoint.model_type, checkpoint.model_type)


class GgufWriter:
    """Writes one candidate. Methods raise OutputError with the system's reason, ModelError for no tokenizer.

    formats: of each layer that may be quantized, by its name. prefix: of the blocks' names. blocks: how many
    the model has.
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
        self._weights = Weights(source)
        self._architecture = _architecture_of(source)
        self._pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\..+")
        self._pending: dict[str, NDArray[Any]] = {}
        self._types: dict[str, str] = {}
        self._replaced: dict[str, NDArray[Any]] = {}

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return self._folder

    def add(self, name: str, layer: QuantizedLayer) -> None:
        """Take a layer of the block that is at work."""
        kind = gguf_type(self._formats[name])
        assert kind is not None, "only formats of ggml come here"
        rows = block_bytes(layer.encoded, kind)
        heads = self._heads(f"{name}.weight")
        self._pending[f"{name}.weight|{kind}"] = rows if heads is None else interleaved(rows, heads)

    def replace(self, name: str, values: NDArray[Any]) -> None:
        """Put other values in a tensor's place, of the block that is at work."""
        self._replaced[name] = values

    def cache(self, block: str, format: Format, scales: CacheScales) -> None:  # noqa: A002, ARG002
        """How keys and values are cached is said when llama.cpp starts, not in a file."""
        raise SettingsError(f"a GGUF file does not say how {block} caches; leave +kv out")

    def finish_block(self, number: int) -> None:
        """Write the block that is at work."""
        self._part(number, [name for name in self._source.tensors if self._block_of(name) == number])

    def finish(self) -> None:
        """Put the parts together, with the header, and write checksums."""
        self._part(self._blocks, [name for name in self._source.tensors if self._block_of(name) is None])
        parts = [self._path(number) for number in (self._blocks, *range(self._blocks))]
        headers = [header_of(part) for part in parts]
        entries = [
            _entry(name, stored.bytes, self._source) for header in headers for name, stored in header.items()
        ]
        kinds = {entry.dtype for entry in entries} & _FILE_TYPES.keys()
        head = header_bytes(
            {**self._fields(), "general.file_type": min(_FILE_TYPES[kind] for kind in kinds)}, entries
        )
        target = self._folder / FILE
        try:
            write_atomically(target, _content(head, parts))
        except OSError as error:
            raise cannot_write(target, error, "choose another folder with --out") from error
        for part in parts:
            part.unlink()
        line = f"{sha256_of(target)}  {FILE}\n"
        write_atomically(self._folder / CHECKSUMS, line.encode())

    def _part(self, number: int, names: list[str]) -> None:
        """A block's tensors as safetensors, under ``name|type``, in ggml's bytes."""
        made = {name.partition("|")[0] for name in self._pending}
        found = dict(self._pending)
        for name in names:
            if name not in made and their_name(name) is not None:
                kind, values = self._kept(name)
                found[f"{name}|{kind}"] = values
        try:
            write_atomically(self._path(number), tensors_bytes(dict(sorted(found.items()))))
        except OSError as error:
            raise cannot_write(self._path(number), error, "choose another folder with --out") from error
        self._pending, self._replaced = {}, {}

    def _kept(self, name: str) -> tuple[str, NDArray[Any]]:
        """A tensor that is not quantized: vectors in F32, as llama.cpp has them, matrices as they are."""
        stored = self._source.tensors[name]
        if len(stored.shape) == 1:
            values = self._replaced.get(name)
            given = self._weights.values(name) if values is None else values.astype(np.float32)
            return "F32", given
        if self._source.is_gguf:  # its rows lie as they are to lie
            return stored.dtype, self._weights.raw(name)
        is_float = stored.dtype in ("F32", "F16", "BF16")
        values, heads = self._weights.raw(name) if is_float else self._weights.values(name), self._heads(name)
        shown = values if heads is None else interleaved(values, heads)
        return stored.dtype if is_float else "F32", shown

    def _heads(self, name: str) -> int | None:
        if self._architecture != "llama":
            return None
        config = self._source.config
        if ".self_attn.q_proj." in name:
            return int(config["num_attention_heads"])
        return int(config["num_key_value_heads"]) if ".self_attn.k_proj." in name else None

    def _block_of(self, name: str) -> int | None:
        found = self._pattern.fullmatch(name)
        return int(found[1]) if found and int(found[1]) < self._blocks else None

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:05d}{SUFFIX}"

    def _fields(self) -> dict[str, Any]:
        if self._source.is_gguf:
            return dict(read_header(self._source.folder).fields)
        return {**_shape_fields(self._source.config, self._architecture), **_tokenizer_fields(self._source)}


def _entry(name: str, size: int, source: Checkpoint) -> Entry:
    ours, _, kind = name.partition("|")
    theirs = their_name(ours)
    assert theirs is not None
    return Entry(theirs, kind, source.tensors[ours].shape, size)


def _content(head: bytes, parts: list[Path]) -> Iterator[bytes]:
    yield head
    for part in parts:
        tensors = header_of(part)
        reader = TensorReader(tensors)
        for name, stored in tensors.items():
            yield np.ascontiguousarray(reader.raw(name)).view(np.uint8).tobytes()
            yield b"\0" * (padded(stored.bytes) - stored.bytes)


def _shape_fields(config: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """The model's shape under llama.cpp's keys."""
    heads = int(config["num_attention_heads"])
    width = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    rope = config.get("rope_parameters") or {}
    theta = config.get("rope_theta") or rope.get("rope_theta") or 10000.0
    told = {
        "context_length": int(config.get("max_position_embeddings") or 2048),
        "block_count": int(config["num_hidden_layers"]),
        "feed_forward_length": int(config["intermediate_size"]),
        "embedding_length": int(config["hidden_size"]),
        "rope.freq_base": float(theta),
        "rope.dimension_count": width,
        "attention.key_length": width,
        "attention.value_length": width,
        "attention.head_count": heads,
        "attention.head_count_kv": int(config.get("num_key_value_heads") or heads),
        "attention.layer_norm_rms_epsilon": float(config.get("rms_norm_eps") or 1e-6),
        "vocab_size": int(config["vocab_size"]),
    }
    return {"general.architecture": architecture, **{f"{architecture}.{key}": v for key, v in told.items()}}


def _tokenizer_fields(source: Checkpoint) -> dict[str, Any]:
    """Tokens, merges and special tokens of tokenizer.json. Raises ModelError for no BPE."""
    path = source.folder / "tokenizer.json"
    try:
        told = json.loads(read_text(path, _LARGEST_JSON))
        model = told["model"]
        if model["type"] != "BPE":
            raise ModelError(f"{path} is {model['type']}, and GGUF is written for BPE; write another format")
        vocabulary = dict(model["vocab"])
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        added = {token["content"]: token for token in told.get("added_tokens", ())}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no tokenizer that a GGUF file can hold: {error}") from error
    vocabulary |= {content: token["id"] for content, token in added.items()}
    size = max(int(source.config["vocab_size"]), len(vocabulary))
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [_USER_DEFINED] * size
    for content, number in vocabulary.items():
        tokens[number] = content
        kinds[number] = _NORMAL
    for content, token in added.items():
        kinds[vocabulary[content]] = _CONTROL if token.get("special") else _USER_DEFINED
    found: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _CUT.get(source.model_type, "default"),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.add_bos_token": False,
    }
    for name in ("bos", "eos", "pad"):
        number = source.config.get(f"{name}_token_id")
        if isinstance(number, list):
            number = number[0] if number else None
        if isinstance(number, int):
            found[f"tokenizer.ggml.{'padding' if name == 'pad' else name}_token_id"] = number
    template = source.folder / "chat_template.jinja"
    if template.is_file():
        found["tokenizer.chat_template"] = read_text(template)
    return found
