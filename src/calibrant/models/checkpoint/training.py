"""A tiny language model of bytes, trained on the spot: for demonstrations, where no model is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.progress import Progress
from calibrant.core.writing import write_atomically
from calibrant.models.checkpoint.folder import CONFIG, SUFFIX
from calibrant.models.checkpoint.tensors import tensors_bytes
from calibrant.models.checkpoint.threading import torch_threads

SHAPE: dict[str, Any] = {
    "vocab_size": 256 + 3,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "bos_token_id": None,
}
_SPECIAL = ("<pad>", "<s>", "</s>")
_ROWS, _LENGTH = 16, 128
_RATE, _WARMUP = 3e-3, 20


def train_bytes(text: bytes, folder: Path, steps: int, seed: int, progress: Progress) -> float:
    """Train a Qwen2 of 0.8 M weights on a text, and write it as a checkpoint with a tokenizer of bytes.

    Gives the loss of the last steps, nats a byte.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    tokenizer, numbers = _tokenizer(), _numbers(text)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen2", **SHAPE), dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, betas=(0.9, 0.95), weight_decay=0.1)
    rng, losses = np.random.default_rng(seed), []
    with torch_threads(1), progress.stage("Training a tiny model", steps) as step:
        for number in range(steps):
            share = min(1.0, (number + 1) / _WARMUP) * 0.5 * (1 + np.cos(np.pi * number / steps))
            for group in optimizer.param_groups:
                group["lr"] = _RATE * share
            starts = rng.integers(0, len(numbers) - _LENGTH, _ROWS)
            rows = torch.from_numpy(np.stack([numbers[start : start + _LENGTH] for start in starts]))
            loss = model(rows, labels=rows).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            step()
    _write(model, folder)
    write_atomically(folder / "tokenizer.json", tokenizer.encode())
    return float(np.mean(losses[-10:]))


def _write(model: Any, folder: Path) -> None:
    tensors: dict[str, NDArray[Any]] = {}
    for name, values in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            # bfloat16 has the upper half of a float32's bits
            tensors[name] = values.to(torch.bfloat16).view(torch.int16).numpy().view(_bfloat16())
    write_atomically(folder / f"model{SUFFIX}", tensors_bytes(tensors))
    config = {**SHAPE, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "dtype": "bfloat16"}
    write_atomically(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())


def _bfloat16() -> Any:
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def _numbers(text: bytes) -> NDArray[np.int64]:
    return np.frombuffer(text, np.uint8).astype(np.int64) + len(_SPECIAL)


def _tokenizer() -> str:
    """Of bytes, three special tokens before them, in the order of the bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = _letters()
    vocabulary = {name: number for number, name in enumerate(_SPECIAL)}
    vocabulary |= {letters[byte]: byte + len(_SPECIAL) for byte in range(256)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    text: str = made.to_str()
    return text


def _letters() -> dict[int, str]:
    """The letter by which each byte stands in a byte-level vocabulary. Source: OpenAI, GPT-2, encoder.py."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + place) for place, byte in enumerate(others)}
