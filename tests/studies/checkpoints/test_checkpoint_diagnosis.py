"""Planted faults are named, and their remedies measured; calibration that leaves experts out is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from click.testing import CliRunner  # noqa: E402

from calibrant.api.checkpoints import cover_checkpoint, diagnose_checkpoint, study_checkpoint  # noqa: E402
from calibrant.cli import cli  # noqa: E402
from calibrant.core.format_names import format_named  # noqa: E402
from calibrant.core.formats import encode, grid_between  # noqa: E402
from calibrant.studies.checkpoints.clipping import clipped_share  # noqa: E402
from calibrant.studies.checkpoints.coverage import covering  # noqa: E402
from tiny_checkpoints import tiny_model, write_texts, write_tokenizer  # noqa: E402

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(20)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("texts")
    return write_texts(folder / "c.jsonl", TEXTS[:8]), write_texts(folder / "t.jsonl", TEXTS[8:])


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def outlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Channel 7 of what q, k, v, gate and up read is 128 times as large, its weights as much smaller."""
    model = tiny_model("qwen2")
    with torch.no_grad():
        for layer in model.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            for norm, readers in (
                (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
                (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
            ):
                norm.weight[7] *= 128
                for reader in readers:
                    reader.weight[:, 7] /= 128
    return saved(model, tmp_path_factory.mktemp("m") / "outlier")


def test_an_outlier_channel_is_named_and_scaling_mends_it(
    outlier: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    found = diagnose_checkpoint(outlier, *texts, formats="w8a8", methods="rtn", out=tmp_path, write=False)
    assert {product.outliers[0][0] for product in found.outliers} == {7}
    (cause,) = [cause for cause in found.causes if cause.name == "outlier channels"]
    assert cause.remedies == ("smoothquant:w8a8",)
    fixed, before = found.study.trial("smoothquant:w8a8"), found.study.trial("rtn:w8a8")
    assert fixed.loss.value < before.loss.value / 4
    for block in found.blocks:
        assert block.inputs > 4 * block.weights
        assert block.total <= 2 * (block.own + block.inherited)
    assert json.loads((tmp_path / "diagnosis.json").read_text())["candidate"] == "rtn:w8a8"


def test_the_layer_that_loses_most_is_named_and_spared(texts: tuple[str, str], tmp_path: Path) -> None:
    model = tiny_model("qwen2")
    with torch.no_grad():
        mlp = model.model.layers[1].mlp  # weights that nothing goes through decide the scales of all others
        mlp.up_proj.weight[::32] *= 1e-3
        mlp.down_proj.weight[:, ::32] *= 100
    folder = saved(model, tmp_path / "m")
    study = study_checkpoint(
        folder, *texts, formats="w3a16-g32,w8a16", methods="rtn", out=tmp_path / "s", write=False
    )
    code = CliRunner().invoke(
        cli, ["diagnose", study.out, "--out", str(tmp_path / "d"), "--no-write"], catch_exceptions=False
    )
    assert code.exit_code == 0, code.output
    found = json.loads((tmp_path / "d" / "diagnosis.json").read_text())
    assert found["candidate"] == "rtn:w3a16-g32"  # the worst of the study
    assert found["groups"][0]["products"] == ["model.layers.1.mlp.down_proj"]
    spared = next(name for name in found["remedies"] if name.endswith("in 8 bits"))
    assert found["remedies"][spared] < found["remedies"]["rtn:w3a16-g32"]
    assert "few layers: layers.1.mlp.down_proj alone" in code.output


def test_the_share_of_cached_keys_and_values_is_told(texts: tuple[str, str], tmp_path: Path) -> None:
    folder = saved(tiny_model("qwen2"), tmp_path / "m")
    found = diagnose_checkpoint(folder, *texts, formats="w8a16+kv-fp8", out=tmp_path / "d", write=False)
    assert all(block.cache > block.weights > 0 for block in found.blocks)
    cause = next(cause for cause in found.causes if cause.name == "keys and values")
    assert cause.remedies == ("rtn:w8a16", "rtn:w8a16+kv-int8")


def test_clipping_is_told_from_rounding() -> None:
    weight = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    chosen = format_named("w4a16-channel").weights
    assert chosen is not None
    assert clipped_share(weight, encode(weight, chosen)) == 0
    ends = np.full((4, 1), 0.5, np.float32)
    narrow = grid_between(-ends, ends, chosen)
    assert clipped_share(weight, encode(weight, chosen, narrow)) > 0.9


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny_model("deepseek_v3")
    model.model.layers[1].mlp.gate.e_score_correction_bias[2] = -100.0
    return saved(model, tmp_path_factory.mktemp("m") / "mixture")


def test_coverage_names_what_is_reached_and_a_part_that_is_enough(
    mixture: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    code = CliRunner().invoke(
        cli, ["coverage", str(mixture), "--calib", texts[0], "--data", texts[1], "--out", str(tmp_path)],
        catch_exceptions=False,
    )  # fmt: skip
    assert code.exit_code == 0, code.output
    found = json.loads((tmp_path / "coverage.json").read_text())
    (routing,) = found["routing"]
    assert routing["unreached"] == [2]
    assert routing["test_share"] < 0.05  # nor does the test set reach it
    kept = [json.loads(line)["id"] for line in (tmp_path / "calib-covering.jsonl").read_text().splitlines()]
    assert kept == found["covering"]
    assert 0 < len(kept) < 8
    part = cover_checkpoint(mixture, str(tmp_path / "calib-covering.jsonl"), texts[1], out=tmp_path / "again")
    assert part.routing[0].unreached == (2,)
    assert set(part.routing[0].hardly) <= set(routing["hardly"])


def test_the_fewest_documents_that_cover() -> None:
    calibration = {"m": np.array([[9, 0, 0], [5, 5, 0], [0, 0, 3], [4, 4, 0]])}
    assert covering(calibration, {"m": np.array([10, 10, 0])}, 5) == (1,)
    assert set(covering(calibration, {"m": np.array([10, 10, 1])}, 5)) == {1, 2}
    assert set(covering(calibration, {"m": np.array([10, 10, 1])}, 100)) == {0, 1, 2, 3}
