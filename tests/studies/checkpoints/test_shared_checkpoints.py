"""On trained models: methods are told apart, and calibration on another language leaves experts out."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from calibrant.api.checkpoints import study_checkpoint


def test_second_moments_win_at_four_bits_on_trained_weights(shared: Path, tmp_path: Path) -> None:
    model = shared / "models/trained/qwen2-8m"
    data = model / "testset"
    result = study_checkpoint(
        model,
        str(data / "calib-python.jsonl"),
        str(data / "test-python.jsonl"),
        formats="w4a16-g32",
        methods="rtn,mse+gptq",
        limit=8,
        calib_limit=12,
        tokens=96,
        out=tmp_path / "run",
        write=False,
    )
    kl = {trial.recipe["method"]: trial.loss.value for trial in result.trials}
    assert kl["mse+gptq"] < kl["rtn"]
    assert result.cost.bytes_read <= 1.2 * result.model.bytes


def test_every_expert_of_a_trained_mixture_is_reached_and_the_other_language_is_told(
    shared: Path, tmp_path: Path
) -> None:
    model = shared / "models/trained/deepseek-v3-moe-12m"
    data = model / "testset"
    result = study_checkpoint(
        model,
        str(data / "calib-python.jsonl"),
        str(data / "test-chinese.jsonl"),
        formats="w4a16-g32",
        methods="rtn",
        limit=4,
        calib_limit=20,
        tokens=96,
        out=tmp_path / "run",
        write=False,
    )
    assert [(routing.experts, routing.unreached) for routing in result.routing] == [(16, ())] * 6
    assert "calibration has nothing of the slices chinese of the test set" in result.warnings
