"""What is written is what compressed-tensors reads, bit for bit, and what transformers loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("compressed_tensors")

from calibrant.api.checkpoints import study_checkpoint  # noqa: E402
from calibrant.core.format_names import format_named  # noqa: E402
from calibrant.core.formats import decode, encode  # noqa: E402
from calibrant.models.checkpoint.folder import open_checkpoint  # noqa: E402
from calibrant.models.checkpoint.packing import (  # noqa: E402
    QuantizedLayer,
    dequantized,
    layout_of,
    packed,
    stored_arrays,
    unpacked,
    weight_settings,
)
from tiny_checkpoints import write_checkpoint, write_texts  # noqa: E402

STORED = (
    "w4a16-g32",
    "w4a16-g32-asym",
    "w4a16-channel",
    "w3a16-g32",
    "w8a16",
    "w8a8",
    "fp8",
    "fp8-static",
    "nvfp4-a16",
)


def weight(rows: int = 12, columns: int = 96) -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    found[0] = 0
    return found


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 70), st.randoms(use_true_random=False))
def test_packing_and_unpacking(bits: int, rows: int, columns: int, random: Any) -> None:
    codes = np.array([[random.randrange(2**bits) for _ in range(columns)] for _ in range(rows)], np.uint8)
    assert (unpacked(packed(codes, bits), bits, columns) == codes).all()


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_words_are_those_of_compressed_tensors(bits: int) -> None:
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    codes = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (6, 50)).astype(np.int8)
    wanted = pack_to_int32(torch.from_numpy(codes), bits).numpy()
    assert (packed((codes.astype(np.int16) + 2 ** (bits - 1)).astype(np.uint8), bits) == wanted).all()


@pytest.mark.parametrize("name", STORED)
def test_compressed_tensors_reads_the_same_weights(name: str) -> None:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    formats = format_named(name)
    assert formats.weights is not None
    encoded = encode(weight(), formats.weights)
    layout = layout_of(formats)
    arrays = stored_arrays(QuantizedLayer(encoded), layout)
    tensors = {part: torch_of(values) for part, values in arrays.items()}
    if layout != "nvfp4-pack-quantized":
        tensors["weight_scale"] = tensors["weight_scale"].float()
    scheme = QuantizationScheme(
        targets=["Linear"], weights=QuantizationArgs(**weight_settings(formats.weights)), format=layout
    )
    found = (
        BaseCompressor.get_value_from_registry(layout).decompress(tensors, scheme)["weight"].float().numpy()
    )
    tolerance = 2**-7 if layout == "nvfp4-pack-quantized" else 0  # whose reader multiplies in bfloat16
    assert np.allclose(found, decode(encoded), rtol=tolerance, atol=0)
    assert (dequantized(arrays, weight_settings(formats.weights), "w") == decode(encoded)).all()


def torch_of(values: np.ndarray) -> Any:
    kinds = {"bfloat16": torch.bfloat16, "float8_e4m3fn": torch.float8_e4m3fn}
    if values.dtype.name in kinds:
        flat = torch.from_numpy(
            np.ascontiguousarray(values).view(np.int16 if values.itemsize == 2 else np.int8)
        )
        return flat.view(kinds[values.dtype.name]).reshape(values.shape)
    return torch.from_numpy(np.ascontiguousarray(values))


def divergence(model: Path, loaded: Any, written: Path, texts: list[str]) -> float:
    """KL a token of what transformers computes with the written checkpoint, with the written tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    before = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(written)
    found = []
    with torch.no_grad():
        for text in texts:
            numbers = torch.tensor(tokenizer.encode(text))[None]
            f, c = (m(numbers).logits[0, :-1].log_softmax(-1) for m in (before, loaded))
            found.append((f.exp() * (f - c)).sum(-1))
    return float(torch.cat(found).mean())


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [("qwen2", "rtn:w4a16-g32-asym"), ("qwen2", "smoothquant+gptq:w8a8"), ("deepseek_v3", "awq:w4a16-g32"),
     ("deepseek_v3", "rtn:fp8")],
)  # fmt: skip
def test_a_written_checkpoint_is_loaded_and_measures_the_same(kind: str, recipe: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, CompressedTensorsConfig

    method, formats = recipe.split(":")
    model = write_checkpoint(tmp_path / "m", kind)
    texts = [f"{n} sheep went {n * n} times to the market" for n in range(8)]
    calib, test = write_texts(tmp_path / "c.jsonl", texts[:3]), write_texts(tmp_path / "t.jsonl", texts[3:])
    result = study_checkpoint(model, calib, test, formats=formats, methods=method, out=tmp_path / "run")
    trial = result.trial(recipe)
    assert trial.files is not None
    written = tmp_path / "run" / trial.files
    # Packed zero points do not fit the shape that transformers prepares for weights that stay packed.
    how = {"quantization_config": CompressedTensorsConfig(dequantize=True)} if "asym" in formats else {}
    loaded, told = AutoModelForCausalLM.from_pretrained(
        written, dtype=torch.float32, output_loading_info=True, **how
    )
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert not told["mismatched_keys"]
    assert divergence(model, loaded, written, texts[3:]) == pytest.approx(trial.loss.value, rel=0.05)
    assert open_checkpoint(written).bytes == pytest.approx(trial.bytes, rel=0.02)
    assert (written / "SHA256SUMS").is_file()
    assert (written / "tokenizer.json").is_file()
    config = json.loads((written / "config.json").read_text())["quantization_config"]
    assert "lm_head" in config["ignore"]
    assert (kind == "deepseek_v3") == (r"re:^model\.layers\.\d+\.mlp\.gate$" in config["ignore"] or
                                       "model.layers.1.mlp.gate" in config["ignore"])  # fmt: skip
