"""Methods and formats on a trained Qwen2, in numpy: KL to the float logits on text not calibrated on.

    python benchmarks/methods.py MODEL_DIR [--formats w4a16-g32,...] [--methods rtn,gptq,...] [--windows 48]

MODEL_DIR: a folder with safetensors shards in bf16, config.json and testset/tokens-test.npz (token numbers by
domain). Calibration takes each domain's last windows, the test its first; weights only; every linear layer
but lm_head. Also prints each method's own time on the whole model, and its loss in second moments relative to
rtn's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrant.core.format_names import format_named
from calibrant.methods import InputStatistics, method_named
from calibrant.methods.rounding import output_errors

Array = NDArray[np.float32]
LENGTH = 256


def tensors(folder: Path) -> dict[str, Array]:
    """Every tensor of the shards, float32."""
    found: dict[str, Array] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        raw = np.memmap(shard, np.uint8, "r")
        size = int.from_bytes(raw[:8].tobytes(), "little")
        for name, entry in json.loads(raw[8 : 8 + size].tobytes()).items():
            if name == "__metadata__":
                continue
            assert entry["dtype"] == "BF16", entry
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            bits = raw[start:end].view(np.uint16).astype(np.uint32) << 16
            found[name] = bits.view(np.float32).reshape(entry["shape"])
    return found


class Qwen2:
    """The forward pass of Qwen2 over windows of tokens, (B, T) -> logits (B, T, V)."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = tensors(folder)
        width = self.config["hidden_size"] // self.config["num_attention_heads"]
        frequencies = self.config["rope_parameters"]["rope_theta"] ** (-np.arange(0, width, 2) / width)
        angles = np.arange(LENGTH)[:, None] * np.concatenate([frequencies, frequencies])
        self.cos, self.sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self.mask = np.triu(np.full((LENGTH, LENGTH), -np.inf, np.float32), 1)

    def layers(self) -> Iterator[tuple[str, list[str]]]:
        """What reads the same inputs: a name, and the weights' names."""
        for layer in range(self.config["num_hidden_layers"]):
            root = f"model.layers.{layer}"
            for group in ("self_attn.q_proj self_attn.k_proj self_attn.v_proj", "self_attn.o_proj",
                          "mlp.gate_proj mlp.up_proj", "mlp.down_proj"):  # fmt: skip
                names = [f"{root}.{part}.weight" for part in group.split()]
                yield names[0], names

    def logits(self, tokens: NDArray[np.int64], see: Callable[[str, Array], None] | None = None) -> Array:
        """Logits; ``see`` is shown the inputs of every group of layers."""
        w, x = self.weights, self.weights["model.embed_tokens.weight"][tokens]
        for layer in range(self.config["num_hidden_layers"]):
            root = f"model.layers.{layer}."
            x = x + self._attention(root + "self_attn.", self._norm(x, root + "input_layernorm"), see)
            h = self._norm(x, root + "post_attention_layernorm")
            gate, up = (self._linear(f"{root}mlp.{part}_proj", h) for part in ("gate", "up"))
            inner = gate / (1 + np.exp(-gate)) * up
            if see is not None:
                see(f"{root}mlp.gate_proj.weight", h)
                see(f"{root}mlp.down_proj.weight", inner)
            x = x + self._linear(root + "mlp.down_proj", inner)
        return self._norm(x, "model.norm") @ w["model.embed_tokens.weight"].T

    def _attention(self, root: str, h: Array, see: Callable[[str, Array], None] | None) -> Array:
        heads, shared = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        batch, length, width = h.shape
        q, k, v = (
            self._linear(root + part, h).reshape(batch, length, -1, width // heads).transpose(0, 2, 1, 3)
            for part in ("q_proj", "k_proj", "v_proj")
        )
        q, k = self._rotated(q), self._rotated(k)
        k, v = np.repeat(k, heads // shared, axis=1), np.repeat(v, heads // shared, axis=1)
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // heads)) + self.mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, length, width)
        if see is not None:
            see(root + "q_proj.weight", h)
            see(root + "o_proj.weight", mixed)
        return self._linear(root + "o_proj", mixed)

    def _linear(self, name: str, x: Array) -> Array:
        y = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        return y if bias is None else y + bias

    def _norm(self, x: Array, name: str) -> Array:
        scale = 1 / np.sqrt(np.square(x).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        return x * scale * self.weights[name + ".weight"]

    def _rotated(self, x: Array) -> Array:
        half = x.shape[-1] // 2
        turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
        return x * self.cos + turned * self.sin


def log_softmax(logits: Array) -> Array:
    moved = logits - logits.max(-1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(-1, keepdims=True))


def divergences(model: Qwen2, windows: NDArray[np.int64], reference: Array) -> NDArray[np.float64]:
    """Mean KL of each window, (B,)."""
    found = log_softmax(model.logits(windows))
    return (np.exp(reference) * (reference - found)).sum(-1).mean(-1, dtype=np.float64)


def windows_of(folder: Path, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(calibration, test), as many of each domain."""
    calibration, test = [], []
    with np.load(folder / "testset" / "tokens-test.npz") as domains:
        for name in sorted(domains.files):
            flat = domains[name].reshape(-1).astype(np.int64)
            whole = flat[: flat.size // LENGTH * LENGTH].reshape(-1, LENGTH)
            each = min(count // len(domains.files), len(whole) // 2)
            test.append(whole[:each])
            calibration.append(whole[-each:])
    return np.concatenate(calibration), np.concatenate(test)


def statistics_of(model: Qwen2, windows: NDArray[np.int64]) -> dict[str, InputStatistics]:
    found: dict[str, tuple[Array, NDArray[np.float64]]] = {}

    def see(name: str, inputs: Array) -> None:
        flat = inputs.reshape(-1, inputs.shape[-1])
        amax, moments = np.abs(flat).max(axis=0), (flat.T @ flat).astype(np.float64) / len(windows) / LENGTH
        if name in found:
            amax, moments = np.maximum(amax, found[name][0]), moments + found[name][1]
        found[name] = amax, moments

    for window in windows:
        model.logits(window[None], see)
    return {
        name: InputStatistics(amax, moments.astype(np.float32)) for name, (amax, moments) in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--formats", default="w4a16-g32,w4a16-g128,w3a16-g32,w3a16-g32-asym,nvfp4-a16")
    parser.add_argument("--methods", default="rtn,mse,gptq,mse+gptq,mse+descent,awq+mse,awq+mse+gptq")
    parser.add_argument("--windows", type=int, default=48)
    given = parser.parse_args()
    model = Qwen2(given.model)
    calibration, test = windows_of(given.model, given.windows)
    statistics = statistics_of(model, calibration)
    reference = log_softmax(model.logits(test))
    original = dict(model.weights)
    print(f"{len(calibration)} windows to calibrate, {len(test)} to test, {LENGTH} tokens each")
    for format_name in given.formats.split(","):
        form = format_named(format_name).weights
        assert form is not None
        base: dict[str, float] = {}
        kept: NDArray[np.float64] | None = None
        for method_name in given.methods.split(","):
            method, spent, relative, bits = method_named(method_name), 0.0, [], []
            for key, names in model.layers():
                stacked = np.concatenate([original[name] for name in names])
                start = time.process_time()
                quantized = method(stacked, form, statistics[key])
                spent += time.process_time() - start
                effective = quantized.effective()
                moments = statistics[key].second_moments
                assert moments is not None
                error = float(output_errors(stacked, effective, moments).sum())
                base.setdefault(key, error)
                relative.append(error / base[key])
                bits.append((form.bits_per_value(stacked.shape), stacked.size))
                ends = np.cumsum([len(original[name]) for name in names])[:-1]
                model.weights.update(zip(names, np.split(effective, ends), strict=True))
            kl = divergences(model, test, reference)
            kept = kl if kept is None else kept
            noise = float((kl - kept).std(ddof=1) / np.sqrt(len(kl)))
            mean_bits = sum(b * n for b, n in bits) / sum(n for _, n in bits)
            print(
                f"{format_name:16} {method_name:16} {mean_bits:5.2f} bits  KL {kl.mean():.5f}  "
                f"less than first {kept.mean() - kl.mean():+.5f} +- {1.96 * noise:.5f}  "
                f"loss/first {np.exp(np.mean(np.log(relative))):.3f}  {spent:5.1f} s",
                flush=True,
            )
            model.weights.update(original)


if __name__ == "__main__":
    main()
