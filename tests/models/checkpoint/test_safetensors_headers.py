"""Safetensors files are described from their headers; what is damaged is refused in a line."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import ModelError
from calibrant.models.checkpoint.folder import INDEX, is_checkpoint, open_checkpoint
from calibrant.models.checkpoint.layers import EXPERT, HEAD, LINEAR, ROUTER, layers_of
from calibrant.models.checkpoint.tensors import TensorReader, header_of


def write(path: Path, header: object, content: bytes = b"") -> Path:
    encoded = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content)
    return path


def entry(dtype: str, shape: list[int], start: int, stop: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_values_come_in_the_files_own_type_and_as_float(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5], [0.125, 3.0], [7.0, 8.0]], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    file = write(tmp_path / "a.safetensors", {"w": entry("BF16", [3, 2], 0, 12)}, bits.tobytes())
    reader = TensorReader(header_of(file))
    assert (reader.values("w") == values).all()
    assert (reader.values("w", slice(1, 3)) == values[1:]).all()
    assert reader.raw("w").dtype.name == "bfloat16"
    assert reader.bytes_read == 12 + 8 + 12


DAMAGES = {
    "cut off": (entry("F32", [2], 0, 8), b"\0" * 7, "ends 1 bytes behind"),
    "wrong length": (entry("F32", [2], 0, 4), b"\0" * 8, r"\(2,\) has 4 bytes"),
    "unknown type": (entry("F7", [2], 0, 8), b"\0" * 8, "unknown type 'F7'"),
    "negative": (entry("F32", [-2], 0, 8), b"\0" * 8, "has the shape"),
    "fractional": (entry("F32", [2.0], 0, 8), b"\0" * 8, "has the shape"),  # type: ignore[list-item]
    "no entry": (3, b"", "no whole safetensors file"),
}


@pytest.mark.parametrize(("told", "content", "words"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_named(told: object, content: bytes, words: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.safetensors", {"w": told}, content)
    with pytest.raises(ModelError, match=words):
        header_of(file)


def test_a_byte_of_two_tensors_is_refused_and_empty_ones_have_none(tmp_path: Path) -> None:
    told = {"a": entry("F32", [2], 0, 8), "b": entry("F32", [1], 8, 12), "none": entry("F32", [0], 4, 4)}
    assert header_of(write(tmp_path / "a.safetensors", told, b"\0" * 12)).keys() == told.keys()
    told["b"] = entry("F32", [1], 4, 8)
    with pytest.raises(ModelError, match="'a' and 'b' share bytes"):
        header_of(write(tmp_path / "b.safetensors", told, b"\0" * 12))


def test_a_header_longer_than_the_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(ModelError, match=f"a header of {2**62} bytes in a file of 10"):
        header_of(file)


@given(st.binary(max_size=200))
def test_any_bytes_are_tensors_or_refused_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.mktemp("any") / "a.safetensors"
    file.write_bytes(content)
    with suppress(ModelError):
        assert isinstance(header_of(file), dict)


def folder(path: Path, **config: object) -> Path:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps({"model_type": "qwen2", **config}))
    return path


def test_a_missing_shard_and_a_tensor_in_none_are_named(tmp_path: Path) -> None:
    made = folder(tmp_path / "m")
    write(made / "one.safetensors", {"w": entry("F32", [1], 0, 4)}, b"\0" * 4)
    index = made / INDEX
    index.write_text(json.dumps({"weight_map": {"w": "one.safetensors", "v": "two.safetensors"}}))
    with pytest.raises(ModelError, match=r"'two.safetensors' of .* is missing"):
        open_checkpoint(made)
    index.write_text(json.dumps({"weight_map": {"w": "one.safetensors", "v": "one.safetensors"}}))
    with pytest.raises(ModelError, match=r"1 tensors .* are in no shard, e.g. 'v'"):
        open_checkpoint(made)
    index.write_text(json.dumps({"weight_map": {"w": "../one.safetensors"}}))
    with pytest.raises(ModelError, match="no shard of this folder"):
        open_checkpoint(made)


def test_folders_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    assert not is_checkpoint(tmp_path)
    with pytest.raises(ModelError, match=r"cannot read .*config.json"):
        open_checkpoint(tmp_path)
    with pytest.raises(ModelError, match=r"holds no .safetensors file"):
        open_checkpoint(folder(tmp_path / "empty"))
    with pytest.raises(ModelError, match="names no model_type"):
        open_checkpoint(folder(tmp_path / "other", model_type=3))
    twice = folder(tmp_path / "twice")
    for name in ("a", "b"):
        write(twice / f"{name}.safetensors", {"w": entry("F32", [1], 0, 4)}, b"\0" * 4)
    with pytest.raises(ModelError, match=r"'w' in a.safetensors and b.safetensors"):
        open_checkpoint(twice)


def test_layers_are_told_by_their_names(tmp_path: Path) -> None:
    made = folder(tmp_path / "m")
    block = "model.layers.1"
    shapes = {
        "model.embed_tokens.weight": ("BF16", [8, 4]),
        f"{block}.self_attn.q_proj.weight": ("BF16", [4, 4]),
        f"{block}.mlp.gate.weight": ("BF16", [2, 4]),
        f"{block}.mlp.experts.11.up_proj.weight_packed": ("I32", [4, 1]),
        f"{block}.mlp.experts.11.up_proj.weight_scale": ("BF16", [4, 1]),
        f"{block}.mlp.shared_experts.up_proj.weight": ("BF16", [4, 4]),
        f"{block}.mlp.gate_proj.weight": ("BF16", [4, 4]),
        f"{block}.input_layernorm.weight": ("BF16", [4]),
        "lm_head.weight": ("BF16", [8, 4]),
    }
    header, start = {}, 0
    for name, (dtype, shape) in shapes.items():
        stop = start + int(np.prod(shape)) * (4 if dtype == "I32" else 2)
        header[name] = entry(dtype, shape, start, stop)
        start = stop
    write(made / "m.safetensors", header, b"\0" * start)
    found = {layer.name: layer for layer in layers_of(open_checkpoint(made))}
    assert found[f"{block}.self_attn.q_proj"].role == LINEAR
    assert found[f"{block}.mlp.gate_proj"].role == LINEAR
    assert found[f"{block}.mlp.shared_experts.up_proj"].role == LINEAR
    assert found[f"{block}.mlp.gate"].role == ROUTER
    assert found["lm_head"].role == HEAD
    expert = found[f"{block}.mlp.experts.11.up_proj"]
    assert (expert.role, expert.expert, expert.block, expert.shape) == (EXPERT, 11, 1, (4, 8))
    assert (expert.bytes, expert.kind) == (16 + 8, "mlp.experts.*.up_proj")
