"""Language models' checkpoints and documents: safetensors, its index and configuration, GGUF, jsonl."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from calibrant.models.checkpoint.folder import open_checkpoint
from calibrant.models.checkpoint.gguf_files import Entry, header_bytes, open_gguf
from calibrant.models.checkpoint.layers import layers_of
from calibrant.tasks.generation.documents import read_documents
from targets.base import Target, document, refusals, scratch, spliced

HEADER = {
    "__metadata__": {"format": "pt"},
    "model.layers.0.mlp.up_proj.weight": {"dtype": "F32", "shape": [4, 2], "data_offsets": [0, 32]},
    "model.norm.weight": {"dtype": "BF16", "shape": [2], "data_offsets": [32, 36]},
}
CONFIG = {
    "model_type": "qwen2", "num_hidden_layers": 1, "hidden_size": 2, "intermediate_size": 4, "vocab_size": 3,
    "num_attention_heads": 1, "num_key_value_heads": 1,
    "quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {}}},
}  # fmt: skip
INDEX = {"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
ROWS = (
    b'{"id": "a", "text": "one", "slice": "s"}\n{"prompt": "2+2=", "answer": "4"}\n'
    b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]}\n'
)
FIELDS: dict[str, Any] = {
    "general.architecture": "llama", "general.alignment": 32, "llama.block_count": 1,
    "llama.embedding_length": 32, "llama.feed_forward_length": 32, "llama.attention.head_count": 1,
    "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.vocab_size": 3,
    "tokenizer.ggml.tokens": ["a", "b"],
}  # fmt: skip


def _safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(36)


def _folder(name: str, shard: bytes, config: bytes, index: bytes | None = None) -> Path:
    folder = scratch(name) / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model-00001-of-00001.safetensors").write_bytes(shard)
    (folder / "config.json").write_bytes(config)
    if index is not None:
        (folder / "model.safetensors.index.json").write_bytes(index)
    return folder


def _described(folder: Path) -> None:
    with refusals():
        layers_of(open_checkpoint(folder))


def _header(content: bytes) -> None:
    shard = _safetensors(document(content, HEADER))
    _described(_folder("safetensors", shard, json.dumps(CONFIG).encode()))


def _shard(content: bytes) -> None:
    shard = spliced(content, _safetensors(json.dumps(HEADER).encode()))
    _described(_folder("shard", shard, json.dumps(CONFIG).encode()))


def _config(content: bytes) -> None:
    _described(_folder("config", _safetensors(json.dumps(HEADER).encode()), document(content, CONFIG)))


def _index(content: bytes) -> None:
    shard = _safetensors(json.dumps(HEADER).encode())
    _described(_folder("index", shard, json.dumps(CONFIG).encode(), document(content, INDEX)))


def _gguf(content: bytes) -> None:
    path = scratch("gguf") / "model.gguf"
    path.write_bytes(spliced(content, _gguf_file()))
    with refusals():
        layers_of(open_gguf(path))


def _documents(content: bytes) -> None:
    path = scratch("documents") / "rows.jsonl"
    path.write_bytes(spliced(content, ROWS))
    with refusals():
        read_documents(str(path))


def _gguf_file() -> bytes:
    entries = [
        Entry("token_embd.weight", "Q8_0", (3, 32), 102),
        Entry("output_norm.weight", "F32", (32,), 128),
    ]
    header = header_bytes(FIELDS, entries)
    return header + bytes(-len(header) % 32 + 512)


CHECKPOINTS = (
    Target("safetensors-header", _header, lambda: [json.dumps(HEADER).encode()]),
    Target("safetensors", _shard, lambda: [_safetensors(json.dumps(HEADER).encode())]),
    Target("checkpoint-config", _config, lambda: [json.dumps(CONFIG).encode()]),
    Target("checkpoint-index", _index, lambda: [json.dumps(INDEX).encode()]),
    Target("gguf", _gguf, lambda: [_gguf_file()]),
    Target("documents", _documents, lambda: [ROWS]),
)
