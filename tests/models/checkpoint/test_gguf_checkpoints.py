"""GGUF files: read as llama.cpp's own reader does, written so that it and transformers read them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
gguf = pytest.importorskip("gguf")

from calibrant.api.checkpoints import inspect_checkpoint, study_checkpoint  # noqa: E402
from calibrant.core.errors import ModelError  # noqa: E402
from calibrant.models.checkpoint.folder import open_checkpoint  # noqa: E402
from calibrant.models.checkpoint.gguf_files import read_header, their_name  # noqa: E402
from calibrant.models.checkpoint.weights import Weights  # noqa: E402
from tiny_checkpoints import write_checkpoint, write_texts  # noqa: E402

TEXTS = [f"{n} sheep and {n * n} goats went to the {'market' if n % 2 else 'river'}" for n in range(12)]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("texts")
    return write_texts(folder / "c.jsonl", TEXTS[:5]), write_texts(folder / "t.jsonl", TEXTS[5:])


def theirs(file: Path) -> dict[str, np.ndarray]:
    """All tensors by gguf's own reader."""
    reader = gguf.GGUFReader(file)
    return {
        t.name: gguf.quants.dequantize(t.data, t.tensor_type).reshape(t.shape[::-1]) for t in reader.tensors
    }


@pytest.fixture(scope="module", params=["qwen2", "llama"])
def written(
    request: pytest.FixtureRequest, texts: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, float]:
    """A model's folder, the GGUF file that a study wrote of it, and its KL."""
    folder = tmp_path_factory.mktemp("m")
    model = write_checkpoint(folder / "m", request.param)
    result = study_checkpoint(model, *texts, formats="q4_1", methods="rtn", out=folder / "run")
    trial = result.trial("rtn:q4_1")
    assert trial.files is not None
    return model, folder / "run" / trial.files / "model.gguf", trial.loss.value


def test_what_is_written_is_what_their_reader_reads(written: tuple[Path, Path, float]) -> None:
    model, file, _ = written
    found = theirs(file)
    source = Weights(open_checkpoint(model))
    again, weights = open_checkpoint(file), Weights(open_checkpoint(file))
    assert {their_name(name) for name in again.tensors} == found.keys()
    for name, stored in again.tensors.items():
        values = weights.values(name)
        if stored.interleaved_heads is None:
            assert np.array_equal(values, found[str(their_name(name))]), name
        close = np.abs(values - source.values(name)).max()
        assert close < (0.05 if stored.dtype == "Q4_1" else 1e-6), name
    dtypes = {name.rpartition(".")[0].rpartition(".")[2]: t.dtype for name, t in again.tensors.items()}
    assert (dtypes["q_proj"], dtypes["norm"], dtypes["embed_tokens"]) == ("Q4_1", "F32", "BF16")
    line = (file.parent / "SHA256SUMS").read_text()
    assert line == f"{hashlib.sha256(file.read_bytes()).hexdigest()}  model.gguf\n"
    assert not list(file.parent.glob("part-*"))


def test_transformers_computes_with_it_and_loses_what_the_study_says(
    written: tuple[Path, Path, float], texts: tuple[str, str]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, file, wanted = written
    before = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    after = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    found = theirs(file)
    for name, values in after.named_parameters():
        read = found[str(their_name(name))]
        if before.config.model_type == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = 4 if "q_proj" in name else 2  # llama.cpp rotates neighbours, transformers halves
            read = np.concatenate([np.concatenate([h[::2], h[1::2]]) for h in np.split(read, heads)])
        values.data = torch.from_numpy(read.copy())
    tokenizer = AutoTokenizer.from_pretrained(model)
    total = count = 0.0
    for text in TEXTS[5:]:
        numbers = torch.tensor([tokenizer.encode(text)])
        with torch.no_grad():
            f, c = (each(numbers).logits[0, :-1].double().log_softmax(-1) for each in (before, after))
        total += float((f.exp() * (f - c)).sum())
        count += numbers.shape[1] - 1
    assert total / count == pytest.approx(wanted, rel=2e-3)


def test_a_gguf_file_is_a_model_and_its_own_grid_loses_nothing(
    written: tuple[Path, Path, float], texts: tuple[str, str], tmp_path: Path
) -> None:
    _, file, _ = written
    inspected = inspect_checkpoint(file)
    assert (inspected.blocks, inspected.stored_as) == (2, "GGUF, Q4_1")
    from calibrant.models.checkpoint.rendering import Tokenizer

    assert Tokenizer(file) is not None
    result = study_checkpoint(file, *texts, formats="q4_1,q8_0,w4a16-g32", methods="rtn", out=tmp_path)
    assert result.trial("rtn:q4_1").loss.value < 1e-9
    assert result.recommended is not None
    assert result.recommended.name == "rtn:q4_1"
    again = tmp_path / str(result.trial("rtn:q4_1").files) / "model.gguf"
    before, after = theirs(file), theirs(again)
    assert all(np.array_equal(after[name], values) for name, values in before.items())


def test_a_damaged_file_is_one_line(written: tuple[Path, Path, float], tmp_path: Path) -> None:
    content = written[1].read_bytes()
    for name, changed, words in (
        ("cut", content[:-100], "bytes behind the file's end"),
        ("head", content[:200], "is no whole GGUF file"),
        ("other", b"GGML" + content[4:], "it does not begin with GGUF"),
    ):
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(changed)
        with pytest.raises(ModelError, match=words):
            open_checkpoint(path)
    assert read_header(written[1]).fields["general.architecture"] in ("qwen2", "llama")
