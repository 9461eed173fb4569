"""A Whisper of a few kilobytes in every layout: the same words whatever the cache.

The decoder's state is the mean of all embeddings so far; what comes next follows from that, from the last
embedding, and from the sound's mean.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, WORDS = 8, 40
BEGIN, END, UNTIMED = WORDS + 1, WORDS, WORDS + 2
VOCABULARY = WORDS + 4
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

STACKED, FIXED, PLAIN, WITH_PAST, MERGED = "stacked", "fixed", "plain", "with_past", "merged"
LAYOUTS = (STACKED, FIXED, PLAIN, WITH_PAST, MERGED)


def _weights() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    end = np.zeros(VOCABULARY, np.float32)
    end[END] = 2.5
    return {
        "mel_in": rng.normal(size=(80, WIDTH)).astype(np.float32),
        "emb": rng.normal(size=(VOCABULARY, WIDTH)).astype(np.float32),
        "out_w": rng.normal(size=(WIDTH, VOCABULARY)).astype(np.float32),
        "out_b": end,
        "mix": np.float32(0.5),
        "loud": np.float32(4),
    }


def _save(path: Path, nodes: Sequence[Any], ins: Sequence[Any], outs: Sequence[Any], **extra: Any) -> None:
    known = {**_weights(), **extra}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        ins,
        outs,
        [numpy_helper.from_array(np.asarray(known[name]), name) for name in known if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def _info(name: str, shape: Sequence[Any], kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _encoder(path: Path, stacked: bool) -> None:
    node = helper.make_node
    nodes = [
        node("Transpose", ["mel"], ["turned"], perm=[0, 2, 1]),
        node("MatMul", ["turned", "mel_in"], ["states"], name="mel_in"),
    ]
    outs = [_info("states", [1, "T", WIDTH])]
    if stacked:
        nodes += [
            node("Unsqueeze", ["states", "ax0"], [name]) for name in ("n_layer_cross_k", "n_layer_cross_v")
        ]
        outs = [_info(name, [1, 1, "T", WIDTH]) for name in ("n_layer_cross_k", "n_layer_cross_v")]
    _save(path, nodes, [_info("mel", [1, 80, "T"])], outs, ax0=np.array([0], np.int64))


def _head(nodes: list[Any], embedded: str, last: str, states: str) -> None:
    """From all embeddings (1, n, width), the last ones and the sound's states to logits."""
    node = helper.make_node
    nodes += [
        node("ReduceMean", [embedded], ["mean"], axes=[1], keepdims=1),
        node("ReduceMean", [states], ["sound"], axes=[1], keepdims=1),
        node("Mul", ["sound", "mix"], ["half_sound"]),
        node("Add", ["mean", "half_sound"], ["both"]),
        node("Add", ["both", last], ["all"]),
        node("Tanh", ["all"], ["bent"]),
        node("MatMul", ["bent", "out_w"], ["scores"], name="out_w"),
        node("Add", ["scores", "out_b"], ["logits"]),
    ]


def free_batch(folder: Path) -> Path:
    """Leave open how many clips the files in a folder take: each operator takes several."""
    for path in folder.glob("*.onnx"):
        model = onnx.load(path)
        for info in (*model.graph.input, *model.graph.output):
            dims = info.type.tensor_type.shape.dim
            is_stacked = len(dims) == 4 and "past_key" not in info.name and "present" not in info.name
            if len(dims) > 1:
                dims[1 if is_stacked else 0].dim_param = "N"
        onnx.checker.check_model(model)
        onnx.save(model, path)
    return folder


def write_whisper(folder: Path, layout: str) -> Path:
    """Write a folder of one of LAYOUTS with its tokenizer.json."""
    node = helper.make_node
    stacked = layout in (STACKED, FIXED)
    folder.mkdir(parents=True, exist_ok=True)
    _encoder(folder / ("tiny-encoder.onnx" if stacked else "encoder_model.onnx"), stacked)
    one = {"ax0": np.array([0], np.int64), "ax1": np.array([1], np.int64)}
    if layout == STACKED:
        nodes = [
            node("Gather", ["emb", "tokens"], ["new"]),
            node("Squeeze", ["self_k", "ax0"], ["old"]),
            node("Concat", ["old", "new"], ["embedded"], axis=1),
            node("Unsqueeze", ["embedded", "ax0"], ["new_k"]),
            node("Identity", ["new_k"], ["new_v"]),
            node("Squeeze", ["cross_k", "ax0"], ["states"]),
        ]
        _head(nodes, "embedded", "new", "states")
        caches = [_info(name, [1, 1, "past", WIDTH]) for name in ("self_k", "self_v")]
        cross = [_info(name, [1, 1, "T", WIDTH]) for name in ("cross_k", "cross_v")]
        outs = [
            _info("logits", [1, "n", VOCABULARY]),
            *(_info(n, [1, 1, "all", WIDTH]) for n in ("new_k", "new_v")),
        ]
        _save(
            folder / "tiny-decoder.onnx",
            nodes,
            [_info("tokens", [1, "n"], INT64), *caches, *cross],
            outs,
            **one,
        )
    elif layout == FIXED:
        _fixed(folder / "tiny-decoder.onnx", one)
    else:
        _by_layers(folder, layout, one)
    _tokenizer(folder / "tokenizer.json")
    return folder


def _fixed(path: Path, one: dict[str, Any]) -> None:
    """A cache of 48 places, of which offset are in use."""
    node = helper.make_node
    nodes = [
        node("Gather", ["emb", "tokens"], ["new"]),
        node("Squeeze", ["in_self_k_cache", "ax0"], ["old"]),
        node("Slice", ["old", "zero", "offset", "ax1"], ["used"]),
        node("Concat", ["used", "new"], ["embedded"], axis=1),
        node("Shape", ["embedded"], ["shape"]),
        node("Gather", ["shape", "ax1"], ["count"]),
        node("Slice", ["old", "count", "many", "ax1"], ["free"]),
        node("Concat", ["embedded", "free"], ["cache"], axis=1),
        node("Unsqueeze", ["cache", "ax0"], ["out_self_k_cache"]),
        node("Identity", ["in_self_v_cache"], ["out_self_v_cache"]),
        node("Squeeze", ["n_layer_cross_k", "ax0"], ["states"]),
    ]
    _head(nodes, "embedded", "new", "states")
    ins = [
        _info("tokens", [1, "n"], INT64),
        *(_info(name, [1, 1, 48, WIDTH]) for name in ("in_self_k_cache", "in_self_v_cache")),
        *(_info(name, [1, 1, "T", WIDTH]) for name in ("n_layer_cross_k", "n_layer_cross_v")),
        _info("offset", [1], INT64),
    ]
    outs = [
        _info("logits", [1, "n", VOCABULARY]),
        *(_info(name, [1, 1, 48, WIDTH]) for name in ("out_self_k_cache", "out_self_v_cache")),
    ]
    _save(path, nodes, ins, outs, zero=np.array([0], np.int64), many=np.array([9999], np.int64), **one)


def _by_layers(folder: Path, layout: str, one: dict[str, Any]) -> None:
    """optimum's: a cache of shape (1, 1, length, width) for one layer."""
    node = helper.make_node
    names = {PLAIN: [(False, "decoder_model")], MERGED: [(True, "decoder_model_merged")]}.get(
        layout, [(False, "decoder_model"), (True, "decoder_with_past_model")]
    )
    for has_past, name in names:
        nodes = [node("Gather", ["emb", "input_ids"], ["new"])]
        ins = [_info("input_ids", [1, "n"], INT64), _info("encoder_hidden_states", [1, "T", WIDTH])]
        embedded = "new"
        if has_past:
            nodes += [
                node("Squeeze", ["past_key_values.0.decoder.key", "ax1"], ["old"]),
                node("Concat", ["old", "new"], ["embedded"], axis=1),
            ]
            ins.append(_info("past_key_values.0.decoder.key", [1, 1, "past", WIDTH]))
            embedded = "embedded"
        if layout == MERGED:
            ins.append(_info("use_cache_branch", [1], BOOL))
        outs = [_info("logits", [1, "n", VOCABULARY])]
        if layout != PLAIN:
            nodes.append(node("Unsqueeze", [embedded, "ax1"], ["present.0.decoder.key"]))
            outs.append(_info("present.0.decoder.key", [1, 1, "all", WIDTH]))
        _head(nodes, embedded, "new", "encoder_hidden_states")
        _save(folder / f"{name}.onnx", nodes, ins, outs, **one)


def _tokenizer(path: Path) -> None:
    words = {f"{chr(0x120)}{chr(97 + number % 26) * (1 + number // 26)}": number for number in range(WORDS)}
    added = [
        ("<|endoftext|>", END),
        ("<|startoftranscript|>", BEGIN),
        ("<|notimestamps|>", UNTIMED),
        ("<|en|>", 43),
    ]
    path.write_text(
        json.dumps(
            {
                "model": {"vocab": words},
                "added_tokens": [{"content": content, "id": number} for content, number in added],
            }
        )
    )


def write_clips(folder: Path, count: int, seed: int = 0, texts: Sequence[str] | None = None) -> Path:
    """LJSpeech's layout: tones with noise, half a second to a second and a half."""
    (folder / "wavs").mkdir(parents=True, exist_ok=True)
    rng, lines = np.random.default_rng(seed), []
    for number in range(count):
        length = int(rng.integers(8_000, 24_000))
        tone = np.sin(np.arange(length) * rng.uniform(0.05, 1.5)) * rng.uniform(0.1, 0.8)
        with wave.open(str(folder / "wavs" / f"c{seed}-{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(
                ((tone + rng.normal(size=length) * 0.02) * 20_000).clip(-32768, 32767).astype("<i2").tobytes()
            )
        text = texts[number] if texts else "a b c"
        lines.append(f"c{seed}-{number}|{text}|{text}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder
