"""A checkpoint is described from its headers: sizes, experts, how it is stored, what a study takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from click.testing import CliRunner

from calibrant.api.checkpoints import inspect_checkpoint, study_checkpoint
from calibrant.cli import cli
from tiny_checkpoints import write_checkpoint, write_texts


def test_a_mixture_is_described(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "m", "deepseek_v3")
    found = inspect_checkpoint(model)
    assert (found.model_type, found.blocks, found.experts, found.stored_as) == ("deepseek_v3", 2, 4, None)
    kinds = {kind.kind: kind for kind in found.kinds}
    up = kinds["mlp.experts.*.up_proj"]
    assert (up.count, up.shape, up.is_quantized) == (4, (32, 64), True)
    assert not kinds["mlp.gate"].is_quantized
    assert not kinds["lm_head"].is_quantized
    sizes = {size.name: size for size in found.formats}
    assert sizes["w4a16-g32"].bits == 4.5
    assert found.bytes - sizes["w4a16-g32"].bytes == found.quantized_weights * (16 - 4.5) / 8
    assert sizes["w4a16-g128"].kept_float == len(
        [1 for kind in found.kinds for _ in range(kind.count) if kind.is_quantized and kind.shape[1] % 128]
    )
    assert found.estimate.memory > 0


def test_what_is_quantized_already_is_told(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "m", "qwen2")
    texts = write_texts(tmp_path / "t.jsonl", ["one sheep", "two goats"])
    result = study_checkpoint(model, texts, texts, formats="w4a16-g32", methods="rtn", out=tmp_path / "run")
    (trial,) = result.trials
    assert trial.files is not None
    before, after = inspect_checkpoint(model), inspect_checkpoint(tmp_path / "run" / trial.files)
    assert after.stored_as == "compressed-tensors, pack-quantized, int4, groups of 32"
    assert after.weights == before.weights
    assert after.kinds == before.kinds


def test_the_command_prints_and_needs_no_torch(tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "m", "qwen2")
    printed = CliRunner().invoke(cli, ["inspect", str(model)]).output
    assert "qwen2, 2 blocks" in printed
    assert "4.50 bits a weight" in printed
    assert json.loads(CliRunner().invoke(cli, ["inspect", str(model), "--json"]).output)["blocks"] == 2
    code = (
        "import sys; from calibrant.api.checkpoints import inspect_checkpoint as i; "
        f"i({str(model)!r}); sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
