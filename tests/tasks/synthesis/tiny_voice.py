"""A voice of a few kilobytes, of one file as Piper's or of two: each phoneme a short tone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
PHONEMES, WIDTH, HOP, RATE = 20, 16, 512, 16_000


def _tones() -> Any:
    """What each of 16 channels sounds like, for one hop."""
    time = np.arange(HOP) / RATE
    return (
        np.stack([np.sin(2 * np.pi * (125 + 62.5 * k) * time) for k in range(WIDTH)]).astype(np.float32) * 0.2
    )


def _save(path: Path, nodes: list[Any], ins: list[Any], outs: list[Any], constants: dict[str, Any]) -> None:
    given = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "voice", ins, outs, given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _info(name: str, shape: list[Any], kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _embedding() -> Any:
    return np.random.default_rng(5).normal(size=(PHONEMES, WIDTH)).astype(np.float32)


def write_voice(folder: Path) -> Path:
    """Piper's: input, input_lengths, scales -> sound; with its .onnx.json."""
    node = helper.make_node
    folder.mkdir(parents=True)
    nodes = [
        node("Gather", ["emb", "input"], ["x"]),
        node("Cast", ["input_lengths"], ["count"], to=FLOAT),
        node("ReduceSum", ["scales"], ["scale"], keepdims=0),
        node("Mul", ["count", "scale"], ["told"]),
        node("Mul", ["told", "nothing"], ["silent"]),
        node("Add", ["x", "silent"], ["y"]),
        node("MatMul", ["y", "mix"], ["z"], name="mix"),
        node("Tanh", ["z"], ["t"]),
        node("MatMul", ["t", "tones"], ["wave"], name="tones"),
        node("Reshape", ["wave", "flat"], ["output"]),
    ]
    ins = [_info("input", [1, "L"], INT64), _info("input_lengths", [1], INT64), _info("scales", [3])]
    constants = {
        "emb": _embedding(),
        "nothing": np.float32(0),
        "mix": np.eye(WIDTH, dtype=np.float32),
        "tones": _tones(),
        "flat": np.array([1, 1, -1], np.int64),
    }
    _save(folder / "voice.onnx", nodes, ins, [_info("output", [1, 1, "T"])], constants)
    (folder / "voice.onnx.json").write_text(json.dumps({"audio": {"sample_rate": RATE}}))
    return folder


def write_two_parts(folder: Path) -> Path:
    """An acoustic model that gives (1, bins, frames), and a vocoder that makes sound of them."""
    node = helper.make_node
    folder.mkdir(parents=True)
    nodes = [
        node("Gather", ["emb", "x"], ["y"]),
        node("MatMul", ["y", "mix"], ["z"], name="mix"),
        node("Mul", ["z", "length_scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["mel"], perm=[0, 2, 1]),
    ]
    ins = [_info("x", [1, "L"], INT64), _info("length_scale", [1])]
    _save(
        folder / "acoustic.onnx",
        nodes,
        ins,
        [_info("mel", [1, WIDTH, "L"])],
        {"emb": _embedding(), "mix": np.eye(WIDTH, dtype=np.float32)},
    )
    nodes = [
        node("Transpose", ["mel"], ["turned"], perm=[0, 2, 1]),
        node("Tanh", ["turned"], ["t"]),
        node("MatMul", ["t", "tones"], ["wave"], name="tones"),
        node("Reshape", ["wave", "flat"], ["audio"]),
    ]
    constants = {"tones": _tones(), "flat": np.array([1, -1], np.int64)}
    _save(
        folder / "vocoder.onnx", nodes, [_info("mel", [1, WIDTH, "L"])], [_info("audio", [1, "T"])], constants
    )
    return folder


def write_sentences(path: Path, count: int, seed: int = 0) -> Path:
    """Ten to thirty phonemes each."""
    rng = np.random.default_rng(seed)
    rows = [
        {"text": f"sentence {at}", "phoneme_ids": rng.integers(0, PHONEMES, rng.integers(10, 30)).tolist()}
        for at in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path
