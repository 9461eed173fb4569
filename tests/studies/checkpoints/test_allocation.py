"""Bits go where they were measured to help, within real bytes, and never lose to the best uniform format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from click.testing import CliRunner  # noqa: E402

from calibrant.api.checkpoints import (  # noqa: E402
    diagnose_checkpoint,
    inspect_checkpoint,
    optimize_checkpoint,
    study_checkpoint,
)
from calibrant.cli import cli  # noqa: E402
from calibrant.core.errors import OutputError, SettingsError  # noqa: E402
from calibrant.models.checkpoint.layers import CheckpointLayer  # noqa: E402
from calibrant.models.checkpoint.sensitivity import GroupCost  # noqa: E402
from calibrant.studies.checkpoints.allocation import (  # noqa: E402
    allocation_bytes,
    choose_by_halves,
    shortlist,
)
from calibrant.studies.checkpoints.recipes import recipes_named  # noqa: E402
from calibrant.studies.checkpoints.verdict import Contender  # noqa: E402
from calibrant.tasks.generation.evidence import TextEvidence  # noqa: E402
from tiny_checkpoints import tiny_model, write_texts, write_tokenizer  # noqa: E402

LAYERS = {
    f"model.layers.{n}.mlp.up_proj": CheckpointLayer(
        f"model.layers.{n}.mlp.up_proj", (64, 64), "linear", 8192, "model.layers", n
    )
    for n in range(4)
}
RECIPES = recipes_named("rtn", "w3a16-g32,w4a16-g32,w8a16", (), tuple(LAYERS.values()))
COSTS = [
    GroupCost((name,), n, dict(zip([r.name for r in RECIPES], errors, strict=True)))
    for n, (name, errors) in enumerate(
        zip(LAYERS, [(4, 1, 0.01), (400, 100, 1), (4, 1, 0.01), (4, 1, 0.01)], strict=True)
    )
]


def test_the_layer_that_deserves_bits_gets_them_and_the_budget_holds() -> None:
    size = 64 * 64
    for bits in (3.5, 4.0, 4.5, 5.0, 6.3):
        budget = int(bits * 4 * size / 8)
        for allocation in shortlist(COSTS, RECIPES, LAYERS, budget).values():
            assert set(allocation) == set(LAYERS)
            assert allocation_bytes(allocation, LAYERS) <= budget
            assert bits < 4.7 or allocation["model.layers.1.mlp.up_proj"].formats.name == "w8a16"
    with pytest.raises(SettingsError, match="the smallest formats take"):
        shortlist(COSTS, RECIPES, LAYERS, 100)


def contender(name: str, size: int, divergence: np.ndarray) -> Contender:
    count = len(divergence)
    nll = np.full(count, 200.0)
    return Contender(
        name, 0, size, TextEvidence(np.full(count, 100), divergence, nll, np.full(count, 90), nll)
    )


def test_the_choice_is_within_the_budget_and_never_worse_than_uniform() -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        base = rng.gamma(2.0, 1.0, 40)
        found = [
            contender("uniform", 10, base * rng.lognormal(0, 0.3, 40)),
            contender("mixed:even", 10, base * rng.lognormal(0, 0.3, 40)),
            contender("large", 20, base / 100),
        ]
        chosen = choose_by_halves(found, ("uniform", "large"), 15, seed)
        assert chosen is not None
        assert chosen.name in ("uniform", "mixed:even")
        second = np.array_split(np.random.default_rng(seed).permutation(40), 2)[1]
        kl = {c.name: c.evidence.of(second).kl for c in found}
        assert kl[chosen.name] <= kl["uniform"]
    assert choose_by_halves(found, (), 5, 0) is None


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """In each group of one layer a weight is thirty times as large as the others."""
    made = tiny_model("qwen2")
    with torch.no_grad():
        made.model.layers[0].mlp.down_proj.weight[:, ::32] *= 30
    made.save_pretrained(tmp_path / "m")
    write_tokenizer(tmp_path / "m")
    return tmp_path / "m"


def test_a_sensitive_layer_is_found_and_the_checkpoint_is_within_the_budget(
    model: Path, tmp_path: Path
) -> None:
    texts = [f"{n} sheep and {n * n} goats went to the river" for n in range(16)]
    calib, test = write_texts(tmp_path / "c.jsonl", texts[:6]), write_texts(tmp_path / "t.jsonl", texts[6:])
    code = CliRunner().invoke(
        cli,
        ["optimize", str(model), "--calib", calib, "--data", test, "--bits", "5", "--methods", "rtn",
         "--formats", "w3a16-g32,w4a16-g32,w8a16", "--out", str(tmp_path / "run")],
        catch_exceptions=False,
    )  # fmt: skip
    assert code.exit_code == 0, code.output
    assert "Use mixed:" in code.output
    (written,) = (tmp_path / "run" / "checkpoints").iterdir()
    found = inspect_checkpoint(written)
    spent = sum(layer.bytes for layer in layers_in(written)) * 8 / found.quantized_weights
    assert spent <= 5.05  # with the shapes, which no budget counts
    down = next(layer for layer in layers_in(written) if layer.name == "model.layers.0.mlp.down_proj")
    assert down.bytes > 64 * 96  # in eight bits


def layers_in(folder: Path) -> list[CheckpointLayer]:
    from calibrant.models.checkpoint.folder import open_checkpoint
    from calibrant.studies.checkpoints.run import quantizable

    return list(quantizable(open_checkpoint(folder)).values())


def test_a_budget_is_needed(model: Path, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "c.jsonl", ["one sheep"])
    with pytest.raises(SettingsError, match="a budget is needed"):
        optimize_checkpoint(model, texts, texts, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("work", "more"),
    [(study_checkpoint, {}), (optimize_checkpoint, {"bits": 5.0}), (diagnose_checkpoint, {})],
    ids=["study", "optimize", "diagnose"],
)
def test_another_finished_run_is_not_replaced_without_a_word(
    model: Path, tmp_path: Path, work: Callable[..., object], more: dict[str, float]
) -> None:
    texts = write_texts(tmp_path / "c.jsonl", ["one sheep"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.json").write_text("{}")
    with pytest.raises(OutputError, match=r"holds another finished run.*--overwrite"):
        work(model, texts, texts, out=tmp_path / "run", **more)
    assert (tmp_path / "run" / "study.json").read_text() == "{}"
