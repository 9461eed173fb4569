"""Layouts of other tools: GPTQ, AWQ, DeepSeek's FP8 tiles, NVFP4, as candidates and as float models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from calibrant.api.checkpoints import inspect_checkpoint, study_checkpoint  # noqa: E402
from tiny_checkpoints import write_checkpoint, write_texts  # noqa: E402

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(8)]
GROUP = 32
Tensors = dict[str, Any]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("texts")
    return write_texts(folder / "c.jsonl", TEXTS[:3]), write_texts(folder / "t.jsonl", TEXTS[3:])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("m") / "m", "qwen2", shard="10GB", num_hidden_layers=1)


def grouped(weight: Any) -> tuple[Any, Any, Any]:
    """Codes, inputs x outputs, zero points and scales, groups x outputs, of 4 bits."""
    blocks = weight.float().T.reshape(-1, GROUP, weight.shape[0])
    low, high = blocks.amin(1).clamp_max(0), blocks.amax(1).clamp_min(0)
    scale = ((high - low) / 15).half()
    zero = (-low / scale.float()).round().clamp(1, 15)
    codes = (blocks / scale.float()[:, None] + zero[:, None]).round().clamp(0, 15)
    return codes.reshape(-1, weight.shape[0]).long(), zero.long(), scale


def words(numbers: Any, axis: int, order: tuple[int, ...] = tuple(range(8))) -> Any:
    """Eight numbers a word along an axis: nibble i has number ``order[i]``."""
    moved = numbers.movedim(axis, -1).reshape(*numbers.movedim(axis, -1).shape[:-1], -1, 8)
    packed = sum(moved[..., number] << (4 * nibble) for nibble, number in enumerate(order))
    as_signed = torch.where(packed >= 2**31, packed - 2**32, packed)
    return as_signed.to(torch.int32).movedim(-1, axis).contiguous()


def gptq(weight: Any) -> Tensors:
    codes, zero, scale = grouped(weight)
    return {
        "qweight": words(codes, 0), "qzeros": words(zero - 1, 1), "scales": scale,
        "g_idx": (torch.arange(weight.shape[1]) // GROUP).int(),
    }  # fmt: skip


def awq(weight: Any) -> Tensors:
    codes, zero, scale = grouped(weight)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    return {"qweight": words(codes, 1, order), "qzeros": words(zero, 1, order), "scales": scale}


def stored(folder: Path, source: Path, layout: Callable[[Any], Tensors], told: dict[str, Any]) -> Path:
    """The model with its layers in another layout."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if "proj.weight" in name]:
        made = layout(tensors.pop(name))
        tensors |= {f"{name.removesuffix('.weight')}.{part}": values for part, values in made.items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": told}))
    return folder


def real(weight: Any) -> Any:
    codes, zero, scale = grouped(weight)
    spread = [each.float().repeat_interleave(GROUP, 0) for each in (zero, scale)]
    return ((codes.float() - spread[0]) * spread[1]).T


@pytest.mark.parametrize("layout", [gptq, awq])
def test_gptq_and_awq_are_measured_as_the_weights_that_they_stand_for(
    layout: Callable[[Any], Tensors], model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    told = {"quant_method": layout.__name__, "bits": 4, "group_size": GROUP}
    theirs = stored(tmp_path / "theirs", model, layout, told)
    plain = stored(tmp_path / "plain", model, lambda weight: {"weight": real(weight)}, {})
    assert inspect_checkpoint(theirs).quantized_weights == inspect_checkpoint(model).quantized_weights
    assert str(inspect_checkpoint(theirs).stored_as).startswith(layout.__name__)
    result = study_checkpoint(
        model, *texts, formats="w4a16-g32", methods="rtn", candidates={"theirs": theirs, "plain": plain},
        out=tmp_path / "run", write=False,
    )  # fmt: skip
    assert result.trial("theirs").loss.value == pytest.approx(result.trial("plain").loss.value, rel=1e-5)
    assert result.trial("theirs").loss.value > 1e-4
    assert result.trial("theirs").bytes < result.trial("plain").bytes / 2


def tiles(weight: Any) -> Tensors:
    """DeepSeek-V3's: e4m3 and the inverse of a scale for each 128 x 128."""
    rows, columns = weight.shape
    scale = torch.empty(-(-rows // 128), -(-columns // 128))
    values = torch.empty_like(weight, dtype=torch.float8_e4m3fn)
    for i in range(scale.shape[0]):
        for j in range(scale.shape[1]):
            part = (slice(128 * i, 128 * i + 128), slice(128 * j, 128 * j + 128))
            scale[i, j] = weight[part].float().abs().max() / 448
            values[part] = (weight[part].float() / scale[i, j]).to(torch.float8_e4m3fn)
    return {"weight": values, "weight_scale_inv": scale}


def decoded_tiles(weight: Any) -> Any:
    made = tiles(weight)
    spread = made["weight_scale_inv"].repeat_interleave(128, 0)[: weight.shape[0]]
    return made["weight"].float() * spread.repeat_interleave(128, 1)[:, : weight.shape[1]]


def test_a_model_in_fp8_tiles_is_the_float_model_of_a_study(texts: tuple[str, str], tmp_path: Path) -> None:
    wide = write_checkpoint(
        tmp_path / "m", "qwen2", shard="10GB", num_hidden_layers=1, hidden_size=160, intermediate_size=192
    )
    told = {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
    source = stored(tmp_path / "tiles", wide, tiles, told)
    plain = stored(tmp_path / "plain", wide, lambda weight: {"weight": decoded_tiles(weight)}, {})
    result = study_checkpoint(
        source, *texts, formats="fp8-block", methods="rtn", candidates={"plain": plain},
        out=tmp_path / "run", write=False,
    )  # fmt: skip
    assert result.trial("plain").loss.value < 1e-9
    assert result.trial("rtn:fp8-block").bytes == pytest.approx(result.model.bytes, rel=0.02)


def test_nvfp4_and_mxfp4_are_read_as_they_were_measured(
    model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    first = {}
    for name in ("nvfp4-a16", "mxfp4-a16"):
        result = study_checkpoint(model, *texts, formats=name, methods="rtn", out=tmp_path / name)
        (trial,) = result.trials
        first[name] = (trial.loss.value, tmp_path / name / str(trial.files))
    again = study_checkpoint(
        model, *texts, formats="w8a16", methods="rtn", out=tmp_path / "run", write=False,
        candidates={f"their {name}": folder for name, (_, folder) in first.items()},
    )  # fmt: skip
    for name, (value, _) in first.items():
        assert again.trial(f"their {name}").loss.value == pytest.approx(value, rel=1e-4)
    source = study_checkpoint(
        first["nvfp4-a16"][1], *texts, formats="nvfp4-a16", methods="rtn", out=tmp_path / "again", write=False
    )
    assert source.trial("rtn:nvfp4-a16").loss.value < first["nvfp4-a16"][0] / 10


def test_compressed_tensors_reads_our_mxfp4(model: Path, texts: tuple[str, str], tmp_path: Path) -> None:
    compressors = pytest.importorskip("compressed_tensors.compressors.mxfp4.base")
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    result = study_checkpoint(model, *texts, formats="mxfp4-a16", methods="rtn", out=tmp_path)
    (trial,) = result.trials
    written = tmp_path / str(trial.files)
    group = json.loads((written / "config.json").read_text())["quantization_config"]
    assert group["format"] == "mxfp4-pack-quantized"
    tensors = {k: v for f in written.glob("*.safetensors") for k, v in load_file(f).items()}
    from calibrant.models.checkpoint.folder import open_checkpoint
    from calibrant.models.checkpoint.weights import Weights

    name = "model.layers.0.mlp.up_proj"
    parts = {k.rpartition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
    scheme = QuantizationScheme(
        targets=["Linear"], weights=QuantizationArgs(**group["config_groups"]["group_0"]["weights"])
    )
    theirs = compressors.MXFP4PackedCompressor.decompress(parts, scheme)["weight"].float().numpy()
    assert np.array_equal(theirs, Weights(open_checkpoint(written)).values(f"{name}.weight"))
