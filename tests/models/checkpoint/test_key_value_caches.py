"""Keys and values in few bits: as transformers computes with a cache that rounds, and as files say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from calibrant.api.checkpoints import study_checkpoint  # noqa: E402
from calibrant.models.checkpoint.tensors import TensorReader, header_of  # noqa: E402
from tiny_checkpoints import tiny_model, write_checkpoint, write_texts, write_tokenizer  # noqa: E402

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(12)]


@pytest.fixture
def texts(tmp_path: Path) -> tuple[str, str]:
    return write_texts(tmp_path / "c.jsonl", TEXTS[:5]), write_texts(tmp_path / "t.jsonl", TEXTS[5:])


def rounding_cache(scales: dict[str, tuple[float, float]]) -> Any:
    """transformers' own cache, whose keys and values pass through E4M3 on the way in."""
    from transformers import DynamicCache

    class Rounding(DynamicCache):  # type: ignore[misc]
        def update(self, keys: Any, values: Any, layer_idx: int, *args: Any, **kwargs: Any) -> Any:
            rounded = [
                (states / step).clamp(-448, 448).to(torch.float8_e4m3fn).float() * step
                for states, step in zip((keys, values), scales[str(layer_idx)], strict=True)
            ]
            return super().update(*rounded, layer_idx, *args, **kwargs)

    return Rounding()


@pytest.mark.parametrize("kind", ["qwen2", "deepseek_v3"])
def test_a_rounded_cache_is_what_transformers_computes_with_one(
    kind: str, texts: tuple[str, str], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = write_checkpoint(tmp_path / "m", kind)
    result = study_checkpoint(folder, *texts, formats="float+kv-fp8,float+kv-int8", out=tmp_path / "run")
    assert [trial.name for trial in result.trials] == ["float+kv-fp8", "float+kv-int8"]
    trial = result.trial("float+kv-fp8")
    assert result.recommended is not None
    assert result.recommended.name == "float+kv-int8"  # finer steps: no value here is an outlier
    written = tmp_path / "run" / str(result.trial("float+kv-int8").files)
    assert json.loads((written / "config.json").read_text())["quantization_config"]["kv_cache_scheme"] == {
        "num_bits": 8, "type": "int", "symmetric": True, "strategy": "tensor", "group_size": None,
        "block_structure": None, "dynamic": False, "observer": "minmax", "actorder": None,
    }  # fmt: skip
    names = [n for f in written.glob("*.safetensors") for n in header_of(f) if n.endswith("_scale")]
    assert len(names) == 4
    scales = scales_of(written, 127.5 / 448)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    total = count = 0.0
    for text in TEXTS[5:]:
        numbers = torch.tensor([tokenizer.encode(text)])
        with torch.no_grad():
            f, c = (
                model(numbers, past_key_values=cache, use_cache=True).logits[0, :-1].double().log_softmax(-1)
                for cache in (None, rounding_cache(scales))
            )
        total += float((f.exp() * (f - c)).sum())
        count += numbers.shape[1] - 1
    assert trial.loss.value == pytest.approx(total / count, rel=2e-3)
    assert trial.loss.value > 1e-6


def scales_of(written: Path, factor: float) -> dict[str, tuple[float, float]]:
    """Steps of E4M3 from those of INT8, by block."""
    found = {}
    for shard in sorted(written.glob("*.safetensors")):
        tensors = header_of(shard)
        reader = TensorReader(tensors)
        for name in tensors:
            if name.endswith("k_scale"):
                values = [float(reader.values(name.replace("k_", f"{k}_"))[0]) * factor for k in "kv"]
                found[name.split(".")[2]] = (values[0], values[1])
    return found


def test_an_outlier_of_the_second_turn_alone_is_told_by_turns(tmp_path: Path) -> None:
    """Keys of one token are a hundred times as large; it comes only where a conversation goes on."""
    model = tiny_model("qwen2")
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0
        model.model.embed_tokens.weight[ord("#") - 33 + 3 + 0, 0] = 8.0
        for layer in model.model.layers:
            layer.self_attn.v_proj.weight[:, 0] = 4.0
    model.save_pretrained(tmp_path / "m")
    write_tokenizer(tmp_path / "m")
    one = [[{"role": "user", "content": text}] for text in TEXTS]
    two = [
        [*turn, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "and # now"}]
        for turn in one
    ]

    def write(name: str, conversations: list[Any]) -> str:
        rows = [{"id": f"{name}{n}", "messages": m, "answer": "so"} for n, m in enumerate(conversations)]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / name)

    result = study_checkpoint(
        tmp_path / "m", write("c.jsonl", one[:5]), write("t.jsonl", one[5:] + two[5:]),
        formats="float+kv-int8", out=tmp_path / "run", write=False,
    )  # fmt: skip
    slices = result.trial("float+kv-int8").slices
    assert slices["2 turns"] > 5 * slices["1 turn"]
    assert any("2 turns" in warning for warning in result.warnings)


def test_a_written_scale_is_read_again_as_a_candidate(texts: tuple[str, str], tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "m", "qwen2")
    first = study_checkpoint(folder, *texts, formats="w8a8+kv-fp8", methods="rtn", out=tmp_path / "a")
    (trial,) = first.trials
    again = study_checkpoint(
        folder, *texts, formats="w8a8", methods="rtn",
        candidates={"theirs": tmp_path / "a" / str(trial.files)}, out=tmp_path / "b", write=False,
    )  # fmt: skip
    assert again.trial("theirs").loss.value == pytest.approx(trial.loss.value, rel=1e-4)
    assert trial.loss.value > again.trial("rtn:w8a8").loss.value
