"""GGUF files of llama.cpp: read as checkpoints, and written.

Layout: ``GGUF``, version, counts, typed keys and values, then for each tensor its name, sizes (the fastest
first), type and offset, then the values, aligned. Values are in blocks of 32 with a scale in FP16: Q4_0, Q4_1
(and a minimum), Q8_0. Sources: ggml/docs/gguf.md and ggml-quants of ggml-org/llama.cpp.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.formats import Encoded
from calibrant.core.reading import opened
from calibrant.models.checkpoint.folder import Checkpoint
from calibrant.models.checkpoint.tensors import BLOCK_TYPES, LARGEST_SHARD, StoredTensor

SUFFIX = ".gguf"
MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
_MOST = 1 << 24
_LONGEST_TEXT = 1 << 26
_LARGEST_ALIGNMENT = 1 << 20

# Types of values in the header: how struct reads them; text and arrays are read apart.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY, _U32, _I32, _F32, _BOOL = 8, 9, 4, 5, 6, 7

TENSOR_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 8: "Q8_0", 28: "F64", 30: "BF16"}
TYPE_NUMBERS = {name: number for number, name in TENSOR_TYPES.items()}

# What the keys of a model's shape are called here and there.
_KEYS = {
    "context_length": "max_position_embeddings",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "embedding_length": "hidden_size",
    "rope.freq_base": "rope_theta",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "attention.key_length": "head_dim",
}
_OF_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BLOCK = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
ARCHITECTURES = ("llama", "qwen2", "qwen3")
"""Those whose files are read and written, by llama.cpp's names."""


@dataclass(frozen=True)
class Header:
    """What a file says before its values: keys, and tensors as the file names them."""

    fields: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]
    sha256: str


def is_gguf(path: Path) -> bool:
    """Whether a path looks like a GGUF file."""
    return path.suffix == SUFFIX and path.is_file()


def open_gguf(path: Path) -> Checkpoint:
    """Describe a GGUF file as a checkpoint, under transformers' names. Raises ModelError in one line."""
    header = read_header(path)
    architecture = header.fields.get("general.architecture")
    if architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelError(f"{path} is of the architecture {architecture!r}; read are {known}")
    try:
        config = _config(header, str(architecture))
    except (ValueError, IndexError) as error:
        raise _damaged(path, error) from error
    tensors = {}
    for stored in header.tensors:
        name = _our_name(stored.name)
        if name is not None:
            heads = _rotated_heads(str(architecture), name, config)
            tensors[name] = StoredTensor(
                name, stored.dtype, stored.shape, stored.file, stored.start, stored.stop, heads
            )
    return Checkpoint(path, config, tensors, header.sha256)


def read_header(path: Path) -> Header:
    """Keys and tensors of a file. Raises ModelError for one that is damaged or something else."""
    try:
        with opened(path, LARGEST_SHARD) as file:
            size = path.stat().st_size
            if file.read(4) != MAGIC:
                raise ValueError("it does not begin with GGUF")
            version, count, keys = struct.unpack("<IQQ", file.read(20))
            if version not in (2, VERSION) or max(count, keys) > _MOST:
                raise ValueError(f"version {version}, {count} tensors, {keys} keys")
            fields = {_text(file): _value(file, struct.unpack("<I", file.read(4))[0]) for _ in range(keys)}
            infos = [_info(file) for _ in range(count)]
            end = file.tell()
            alignment = fields.get("general.alignment", ALIGNMENT)
            if type(alignment) is not int or not 0 < alignment <= _LARGEST_ALIGNMENT:
                raise ValueError(f"values are aligned to {alignment!r:.40} bytes")
            begin = -(-end // alignment) * alignment
            file.seek(0)
            digest = hashlib.sha256(file.read(end)).hexdigest()
        return Header(fields, tuple(_stored(path, begin, size, *info) for info in infos), digest)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is no whole GGUF file: {error}; get it again")


def _text(file: BufferedReader) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LONGEST_TEXT:
        raise ValueError(f"a text of {length} bytes")
    return file.read(length).decode(errors="replace")


def _value(file: BufferedReader, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind == _ARRAY:
        element, count = struct.unpack("<IQ", file.read(12))
        if count > _MOST or element == _ARRAY:
            raise ValueError(f"an array of {count} values")
        return [_value(file, element) for _ in range(count)]
    form = f"<{_SCALARS[kind]}"
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _info(file: BufferedReader) -> tuple[str, tuple[int, ...], int, int]:
    name = _text(file)
    (rank,) = struct.unpack("<I", file.read(4))
    if not 0 < rank <= 4:
        raise ValueError(f"{name!r:.80} has {rank} axes")
    sizes = struct.unpack(f"<{rank}Q", file.read(8 * rank))
    kind, offset = struct.unpack("<IQ", file.read(12))
    return name, tuple(reversed(sizes)), kind, offset


def _stored(
    path: Path, begin: int, size: int, name: str, shape: tuple[int, ...], kind: int, offset: int
) -> StoredTensor:
    if kind not in TENSOR_TYPES:
        raise ValueError(f"{name!r} is of ggml's type {kind}; read are {', '.join(TENSOR_TYPES.values())}")
    dtype = TENSOR_TYPES[kind]
    taken = _bytes_of(dtype, shape)
    if begin + offset + taken > size:
        raise ValueError(f"{name!r} ends {begin + offset + taken - size} bytes behind the file's end")
    return StoredTensor(name, dtype, shape, path, begin + offset, begin + offset + taken)


def _bytes_of(dtype: str, shape: Sequence[int]) -> int:
    if dtype in BLOCK_TYPES:
        block = BLOCK_TYPES[dtype]
        if shape[-1] % block.values:
            raise ValueError(f"rows of {shape[-1]} values in blocks of {block.values}")
        return prod(shape) // block.values * block.bytes
    return prod(shape) * {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}[dtype]


def _config(header: Header, architecture: str) -> dict[str, Any]:
    """config.json as transformers would have it."""
    fields = header.fields
    config: dict[str, Any] = {"model_type": architecture}
    for theirs, ours in _KEYS.items():
        if (found := fields.get(f"{architecture}.{theirs}")) is not None:
            config[ours] = found
    if architecture == "llama" and (width := fields.get("llama.rope.dimension_count")) is not None:
        config.setdefault("head_dim", width)
    config.setdefault("num_key_value_heads", config.get("num_attention_heads"))
    names = {tensor.name: tensor for tensor in header.tensors}
    if "token_embd.weight" not in names:
        raise ValueError("it has no token_embd.weight")
    config["vocab_size"] = names["token_embd.weight"].shape[0]
    config["tie_word_embeddings"] = "output.weight" not in names
    return config


def _our_name(name: str) -> str | None:
    """Transformers' name of a tensor; None: it has none, such as factors of rotations."""
    found = _BLOCK.fullmatch(name)
    if found and found[2] in _OF_BLOCK:
        return f"model.layers.{found[1]}.{_OF_BLOCK[found[2]]}.{found[3]}"
    stem, _, kind = name.rpartition(".")
    return f"{_OUTSIDE[stem]}.{kind}" if stem in _OUTSIDE else None


def their_name(name: str) -> str | None:
    """llama.cpp's name of a tensor of transformers; None: it has none."""
    found = _LAYER.fullmatch(name)
    inner = {ours: theirs for theirs, ours in _OF_BLOCK.items()}
    if found and found[2] in inner:
        return f"blk.{found[1]}.{inner[found[2]]}.{found[3]}"
    stem, _, kind = name.rpartition(".")
    outside = {ours: theirs for theirs, ours in _OUTSIDE.items()}
    return f"{outside[stem]}.{kind}" if stem in outside else None


def _rotated_heads(architecture: str, name: str, config: Mapping[str, Any]) -> int | None:
    """Heads whose rows llama.cpp interleaves for its way to rotate; None: rows are as in transformers."""
    if architecture != "llama":
        return None
    if ".self_attn.q_proj." in name:
        return int(config["num_attention_heads"])
    return int(config["num_key_value_heads"]) if ".self_attn.k_proj." in name else None


def interleaved(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of queries or keys as llama.cpp has them: halves of a head in turn."""
    split = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(rows.shape))


def block_bytes(encoded: Encoded, dtype: str) -> NDArray[np.uint8]:
    """A weight as a GGUF file has it, rows x bytes."""
    rows, columns = encoded.codes.shape
    block = BLOCK_TYPES[dtype]
    parts: list[NDArray[Any]] = [encoded.grid.scale.reshape(-1, 1).astype(np.float16).view(np.uint8)]
    if dtype == "Q4_1":
        assert encoded.grid.offset is not None
        parts.append(np.asarray(encoded.grid.offset).reshape(-1, 1).astype(np.float16).view(np.uint8))
    codes = encoded.codes.reshape(-1, block.values)
    if dtype == "Q8_0":
        parts.append(codes.astype(np.int8).view(np.uint8))
    else:
        positive = (codes.astype(np.int16) + (8 if dtype == "Q4_0" else 0)).astype(np.uint8)
        half = block.values // 2
        parts.append(positive[:, :half] | (positive[:, half:] << 4))
    return np.concatenate(parts, axis=1).reshape(rows, columns // block.values * block.bytes)


@dataclass(frozen=True)
class Entry:
    """A tensor to be written, and the bytes that it takes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int


def header_bytes(fields: Mapping[str, Any], entries: Iterable[Entry]) -> bytes:
    """What stands before the values, padded; values follow in the order of the entries, each padded."""
    listed = list(entries)
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(listed), len(fields))]
    for key, value in fields.items():
        parts += [_packed_text(key), _packed(value)]
    offset = 0
    for entry in listed:
        sizes = tuple(reversed(entry.shape))
        parts += [
            _packed_text(entry.name),
            struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes),
            struct.pack("<IQ", TYPE_NUMBERS[entry.dtype], offset),
        ]
        offset += padded(entry.bytes)
    found = b"".join(parts)
    return found + b"\0" * (padded(len(found)) - len(found))


def padded(size: int) -> int:
    """A size with what fills it up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def _packed_text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _packed(value: Any) -> bytes:
    if isinstance(value, list):
        kind, form = (_I32, "i") if value and isinstance(value[0], int) else (_TEXT, "")
        head = struct.pack("<IIQ", _ARRAY, kind, len(value))
        if kind == _TEXT:
            return head + b"".join(map(_packed_text, value))
        return head + struct.pack(f"<{len(value)}{form}", *value)
    if isinstance(value, str):
        return struct.pack("<I", _TEXT) + _packed_text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", _BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", _U32, value)
    return struct.pack("<If", _F32, value)
