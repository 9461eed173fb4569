"""The best candidates write: as transformers generates, and counted against the float model's answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from click.testing import CliRunner  # noqa: E402

from calibrant.cli import cli  # noqa: E402
from calibrant.models.checkpoint.architecture import Architecture  # noqa: E402
from calibrant.models.checkpoint.decoding import Decoder  # noqa: E402
from calibrant.models.checkpoint.folder import open_checkpoint  # noqa: E402
from calibrant.models.checkpoint.weights import Weights  # noqa: E402
from calibrant.studies.checkpoints.confirming import documents_needed, mcnemar  # noqa: E402
from tiny_checkpoints import write_checkpoint  # noqa: E402

PROMPTS = [f"{n} sheep and {n * n} goats went to the" for n in range(1, 40, 4)]


def generated(folder: Path, most: int) -> list[list[int]]:
    """By transformers itself, one after the other."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for prompt in PROMPTS:
        numbers = torch.tensor([tokenizer.encode(prompt)])
        mask = torch.ones_like(numbers)
        made = model.generate(numbers, attention_mask=mask, max_new_tokens=most, do_sample=False)
        found.append(made[0, numbers.shape[1] :].tolist())
    return found


@pytest.mark.parametrize("kind", ["qwen2", "deepseek_v3"])
def test_the_float_model_writes_what_transformers_does(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write_checkpoint(tmp_path, kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    checkpoint = open_checkpoint(folder)
    decoder = Decoder(Architecture(checkpoint, Weights(checkpoint)))
    prompts = [np.array(tokenizer.encode(prompt), np.int64) for prompt in PROMPTS]
    assert decoder.written(prompts, 8) == generated(folder, 8)


def test_a_study_lets_the_best_write_and_counts_flips(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = write_checkpoint(tmp_path / "m", "qwen2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = [tokenizer.decode(row, skip_special_tokens=True) for row in generated(folder, 6)]

    def rows(name: str, right: list[str]) -> str:
        found: list[dict[str, Any]] = [
            {"id": f"{name}{n}", "prompt": prompt, "answer": answer or "?"}
            for n, (prompt, answer) in enumerate(zip(PROMPTS, right, strict=True))
        ]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in found))
        return str(tmp_path / name)

    done = CliRunner().invoke(
        cli,
        ["study", str(folder), "--calib", rows("c.jsonl", ["x"] * len(PROMPTS)), "--data",
         rows("t.jsonl", answers), "--formats", "w8a16+kv-int8,w3a16-g32", "--methods", "rtn", "--decode",
         "exact", "--new-tokens", "6", "--no-write", "--out", str(tmp_path / "run")],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "run" / "study.json").read_text())["decoding"]
    assert (found["scorer"], found["documents"], found["score"]) == ("exact", len(PROMPTS), 1)
    good, bad = found["confirmations"]
    assert (good["name"], bad["name"]) == ("rtn:w8a16+kv-int8", "rtn:w3a16-g32")
    assert good["score"] > bad["score"]
    assert bad["broken"] >= 6
    assert bad["p_value"] == pytest.approx(mcnemar(bad["broken"], bad["fixed"]))
    assert bad["low"] <= bad["loss"] <= bad["high"]
    assert "Written answers of 10 documents, by exact" in done.output


def test_flips_and_documents_that_would_be_needed() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(6, 0) == pytest.approx(2 / 64)
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)
    lost = np.array([1.0, 0, 0, 0] * 5)
    assert documents_needed(lost) == int(np.ceil((1.96 * lost.std() / 0.25) ** 2))
    assert documents_needed(np.zeros(4)) is None
