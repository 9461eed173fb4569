"""What was planted in a tiny model is found: outlier channels, experts that nothing reaches, native grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from calibrant.api.checkpoints import study_checkpoint  # noqa: E402
from tiny_checkpoints import tiny_model, write_texts, write_tokenizer  # noqa: E402

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(30)]


@pytest.fixture
def texts(tmp_path: Path) -> tuple[str, str]:
    return write_texts(tmp_path / "calib.jsonl", TEXTS[:14]), write_texts(tmp_path / "test.jsonl", TEXTS[14:])


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def kl(result: Any) -> dict[str, float]:
    return {trial.name: trial.loss.value for trial in result.trials}


def test_an_outlier_channel_is_answered_by_scaling(texts: tuple[str, str], tmp_path: Path) -> None:
    model = tiny_model("qwen2")
    with torch.no_grad():
        for layer in model.model.layers:
            read = layer.self_attn
            for norm, readers in (
                (
                    layer.input_layernorm,
                    (read.q_proj, read.k_proj, read.v_proj),
                ),
                (layer.post_attention_layernorm, (layer.mlp.gate_proj, layer.mlp.up_proj)),
            ):
                norm.weight[7] *= 128
                for reader in readers:
                    reader.weight[:, 7] /= 128
    found = kl(
        study_checkpoint(
            saved(model, tmp_path / "m"),
            *texts,
            formats="w8a8",
            methods="rtn,smoothquant",
            out=tmp_path / "run",
            write=False,
        )
    )
    assert found["smoothquant:w8a8"] < found["rtn:w8a8"] / 4


def test_second_moments_help_at_four_bits(texts: tuple[str, str], tmp_path: Path) -> None:
    model = saved(tiny_model("deepseek_v3"), tmp_path / "m")
    found = kl(
        study_checkpoint(
            model, *texts, formats="w4a16-g32", methods="rtn,mse+gptq", out=tmp_path / "run", write=False
        )
    )
    assert found["mse+gptq:w4a16-g32"] < found["rtn:w4a16-g32"]


def test_a_first_look_needs_no_names(texts: tuple[str, str], tmp_path: Path) -> None:
    model = saved(tiny_model("qwen2", num_hidden_layers=1), tmp_path / "m")
    found = kl(study_checkpoint(model, *texts, out=tmp_path / "run", write=False))
    assert list(found) == [
        *(f"{method}:w4a16-g32" for method in ("rtn", "mse", "gptq", "mse+gptq")),
        "rtn:w8a8",
        "smoothquant:w8a8",
        "rtn:fp8",
    ]


def test_an_expert_that_nothing_reaches_is_named(texts: tuple[str, str], tmp_path: Path) -> None:
    model = tiny_model("deepseek_v3")
    model.model.layers[1].mlp.gate.e_score_correction_bias[2] = -100.0
    result = study_checkpoint(
        saved(model, tmp_path / "m"),
        *texts,
        formats="w4a16-g32",
        methods="gptq",
        out=tmp_path / "run",
        write=False,
    )
    (routing,) = result.routing
    assert (routing.mixture, routing.unreached) == ("model.layers.1.mlp.experts", (2,))


def test_what_another_tool_made_is_measured_as_it_measures_itself(
    texts: tuple[str, str], tmp_path: Path
) -> None:
    model = saved(tiny_model("qwen2", num_hidden_layers=1), tmp_path / "m")
    recipes = {"w8a8-static": "smoothquant", "w4a16-g32": "awq"}
    made = {}
    for formats, method in recipes.items():
        result = study_checkpoint(model, *texts, formats=formats, methods=method, out=tmp_path / formats)
        (trial,) = result.trials
        assert trial.files is not None
        made[trial.name] = (trial, tmp_path / formats / trial.files)
    again = study_checkpoint(
        model,
        *texts,
        formats="w8a8",
        methods="rtn",
        candidates={f"their {name}": folder for name, (_, folder) in made.items()},
        out=tmp_path / "again",
    )
    for name, (trial, folder) in made.items():
        found = again.trial(f"their {name}")
        assert found.loss.value == pytest.approx(trial.loss.value, rel=1e-4)
        assert found.recipe == {"checkpoint": str(folder)}
        assert found.bits == pytest.approx(trial.bits, rel=0.02)


def test_a_native_grid_is_kept_without_loss(texts: tuple[str, str], tmp_path: Path) -> None:
    model = saved(tiny_model("qwen2", num_hidden_layers=1), tmp_path / "m")
    first = study_checkpoint(model, *texts, formats="w4a16-g32", methods="rtn", out=tmp_path / "first")
    (trial,) = first.trials
    assert trial.files is not None
    packed = tmp_path / "first" / trial.files
    second = study_checkpoint(
        packed, *texts, formats="w4a16-g32,w8a8", methods="mse", out=tmp_path / "second"
    )
    assert second.trial("mse:w4a16-g32").loss.value < trial.loss.value / 100
