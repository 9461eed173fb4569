"""A checkpoint's study from the command line: ranking, intervals, figures, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from click.testing import CliRunner

from calibrant.api.checkpoints import study_checkpoint
from calibrant.cli import cli
from calibrant.core.errors import CalibrantError, OutputError
from calibrant.studies.checkpoints.verdict import Contender, Documents, choose
from calibrant.tasks.generation.evidence import TextEvidence
from tiny_checkpoints import write_checkpoint, write_texts, write_tokenizer

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(24)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny", "qwen2", hidden_size=64)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("texts")
    return write_texts(folder / "calib.jsonl", TEXTS[:8]), write_texts(folder / "test.jsonl", TEXTS[8:])


def test_formats_are_ranked_by_divergence_in_one_reading(
    model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    result = study_checkpoint(
        model,
        *texts,
        formats="w8a16,w4a16-g32,w3a16-g32,fp8,w8a8-static",
        methods="rtn",
        out=tmp_path / "run",
    )
    names = [trial.name for trial in result.ranking]
    assert names[0] == "rtn:w8a16"
    assert names[-2:] == ["rtn:w4a16-g32", "rtn:w3a16-g32"]
    assert "rtn:w8a8-static:minmax" in names
    for trial in result.trials:
        assert trial.loss.low <= trial.loss.value <= trial.loss.high
        assert len(trial.growth) == 2
    assert result.recommended is not None
    assert result.recommended.name == "rtn:w8a16"
    assert result.cost.bytes_read <= result.model.bytes * 1.2
    four = result.trial("rtn:w4a16-g32")
    assert four.bits == 4.5
    assert result.model.bytes - four.bytes == result.model.quantized_weights * (16 - 4.5) / 8
    written = json.loads((tmp_path / "run" / "study.json").read_text())
    assert written["schema_version"] == 2
    assert written["trials"][0]["score"]["metric"] == "kl"
    assert (tmp_path / "run" / written["trials"][0]["files"]["evidence"]).is_file()


def test_the_smallest_within_a_loss_is_recommended(
    model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    formats = "w8a16,w4a16-g32,w3a16-g32"
    free = study_checkpoint(model, *texts, formats=formats, methods="rtn", out=tmp_path / "a")
    allowed = free.trial("rtn:w4a16-g32").loss.high * 1.01
    chosen = study_checkpoint(
        model, *texts, formats=formats, methods="rtn", max_loss=allowed, out=tmp_path / "b"
    )
    assert chosen.recommended is not None
    assert chosen.recommended.name == "rtn:w4a16-g32"


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    words = str(found.exception) if isinstance(found.exception, CalibrantError) else ""
    return found.exit_code, found.output + words


def test_the_command_prints_the_ranking(model: Path, texts: tuple[str, str], tmp_path: Path) -> None:
    code, printed = run(
        "study", model, "--calib", texts[0], "--data", texts[1], "--formats", "w4a16-g32,w8a8",
        "--methods", "rtn", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0
    assert printed.index("rtn:w8a8") < printed.index("rtn:w4a16-g32")
    assert "Use rtn:w8a8: KL" in printed


def test_nothing_within_the_loss_is_an_exit_code_of_its_own(
    model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    code, printed = run(
        "study", model, "--calib", texts[0], "--data", texts[1], "--formats", "w3a16-g32", "--methods", "rtn",
        "--max-loss", "1e-9", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 4
    assert "No candidate is within" in printed


def test_options_of_the_other_kind_of_model_are_refused(model: Path, texts: tuple[str, str]) -> None:
    data = ("--calib", texts[0], "--data", texts[1])
    assert "--runtime does not apply" in run("study", model, *data, "--runtime", "openvino")[1]
    assert "--formats is for checkpoints" in run("study", "model.onnx", *data, "--formats", "w8a8")[1]
    assert "'magic' of the method 'magic' is unknown" in run("study", model, *data, "--methods", "magic")[1]
    assert "no format is called 'w5'" in run("study", model, *data, "--formats", "w5")[1]


def test_messages_need_a_chat_template(texts: tuple[str, str], tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "m", "qwen2")
    write_tokenizer(model, template=None)
    (model / "chat_template.jinja").unlink(missing_ok=True)
    chat = tmp_path / "chat.jsonl"
    chat.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}], "answer": "hello"}) + "\n")
    code, printed = run("study", model, "--calib", texts[0], "--data", chat)
    assert code != 0
    assert "has messages, and" in printed
    assert "no chat template" in printed


def test_of_a_conversation_only_the_answer_counts(texts: tuple[str, str], tmp_path: Path) -> None:
    model = write_checkpoint(tmp_path / "m", "qwen2")
    chat = tmp_path / "chat.jsonl"
    rows = [{"id": str(n), "messages": [{"role": "user", "content": "hi"}], "answer": "ab"} for n in range(2)]
    chat.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = study_checkpoint(model, texts[0], str(chat), formats="w8a8", methods="rtn", out=tmp_path / "run")
    assert result.data.tokens == 2 * len("ab\n")
    assert any("calibrate on what the model will see" in warning for warning in result.warnings)


def evidence(divergence: np.ndarray) -> TextEvidence:
    count = len(divergence)
    tokens = np.full(count, 100)
    return TextEvidence(tokens, divergence, np.full(count, 200.0), np.full(count, 90), np.full(count, 199.0))


def test_identical_candidates_are_tied_and_the_simplest_is_chosen() -> None:
    rng = np.random.default_rng(0)
    tied = 0
    for seed in range(40):
        base = rng.gamma(2.0, 1.0, 60)
        found = [evidence(base * rng.lognormal(0, 0.2, 60)) for _ in range(2)]
        pair = [Contender(f"c{n}", n, 10, found[n]) for n in range(2)]
        chosen = choose(pair, Documents(60, seed))
        assert chosen is not None
        tied += bool(chosen.tied)
    assert tied >= 35  # 95 % of 40 is 38; three below it is what chance allows


def test_a_real_difference_is_told_and_needs_no_more_documents() -> None:
    base = np.random.default_rng(0).gamma(2.0, 1.0, 60)
    good, bad = Contender("good", 1, 10, evidence(base)), Contender("bad", 0, 10, evidence(base * 1.5))
    documents = Documents(60)
    assert documents.difference(good, bad).is_real
    needed = documents.needed(good, bad)
    assert needed is not None
    assert needed < 60
    chosen = choose([bad, good], documents)
    assert chosen is not None
    assert (chosen.name, chosen.tied) == ("good", ())


def test_a_dry_run_says_what_a_study_takes_and_writes_nothing(
    model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    asked = (model, "--calib", texts[0], "--data", texts[1], "--methods", "rtn", "--formats", "w8a16,w8a8")
    code, printed = run("study", *asked, "--out", tmp_path / "run", "--dry-run", "--json")
    assert code == 0
    assert not list(tmp_path.iterdir())
    told = json.loads(printed)
    study_checkpoint(model, *texts, methods="rtn", formats="w8a16,w8a8", out=tmp_path / "run")
    used = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert 0 < used <= told["disk"]
    code, printed = run("optimize", *asked, "--bits", 6, "--out", tmp_path / "best", "--dry-run")
    assert code == 0
    assert "twice: rtn:w8a16, rtn:w8a8" in printed
    assert not (tmp_path / "best").exists()


def test_a_finished_study_is_replaced_only_on_request(
    model: Path, texts: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "study.json").write_text('{"created": "2026-01-01", "model": {"path": "other"}}')
    with pytest.raises(OutputError, match="--overwrite"):
        study_checkpoint(model, *texts, out=tmp_path, methods="rtn", formats="w8a8")
    assert study_checkpoint(
        model, *texts, out=tmp_path, methods="rtn", formats="w8a8", overwrite=True, write=False
    ).trials
