"""The demo of language models: one that is trained here, in a minute, on Python's own library."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from calibrant.api.checkpoints import needing_llm, study_checkpoint
from calibrant.artifacts.store import require_writable, write_bytes
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.reading import read_bytes
from calibrant.studies.checkpoints.result import CheckpointStudy
from calibrant.studies.replacing import place_of_inputs, require_free

NOTE = "a model of 0.8 M weights, trained here on Python's own library: its figures say little of yours"
FORMATS = "w8a8,fp8,fp8+kv-fp8,w4a16-g32,w3a16-g32"
METHODS = "rtn,mse+gptq"
TEST, CALIBRATION = 32, 24
STEPS = 200
_BYTES = 256
_LARGEST, _MOST = 200_000, 3_000_000


def run_language_demo(
    out: Path,
    *,
    test_samples: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    steps: int = STEPS,
    progress: Progress | None = None,
) -> CheckpointStudy:
    """Train a tiny model into ``out/model``, and study ways to quantize it, into ``out``.

    test_samples: pieces of 256 bytes to measure on. Raises SettingsError where torch and transformers are
    absent, and OutputError.
    """
    listener = progress or Silent()
    require_free(out, None, overwrite)
    require_writable(out)
    with needing_llm():
        from calibrant.models.checkpoint.training import train_bytes
    listener.note(NOTE)
    training, held_out = _texts(seed)
    model = place_of_inputs(out, "model")
    loss = train_bytes(training, model, steps, seed, listener)
    listener.note(f"its loss is {loss:.2f} nats a byte")
    rng = np.random.default_rng(seed)
    calib = _pieces(training, CALIBRATION, rng, place_of_inputs(out, "calib.jsonl"))
    test = _pieces(held_out, test_samples or TEST, rng, place_of_inputs(out, "test.jsonl"))
    return study_checkpoint(
        model, calib, test, formats=FORMATS, methods=METHODS, tokens=_BYTES, out=out, seed=seed,
        overwrite=overwrite, progress=listener,
    )  # fmt: skip


def _texts(seed: int) -> tuple[bytes, bytes]:
    """Modules of Python's library, nine of ten to train on, the rest to measure on; in an order of chance."""
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    texts = list(_ascii(modules))
    if len(texts) < 10:
        raise SettingsError("this Python has no sources of its library to train a demo model on; use another")
    order = np.random.default_rng(seed).permutation(len(texts))
    cut = len(texts) // 10
    held_out, training = (b"\n".join(texts[place] for place in part) for part in (order[:cut], order[cut:]))
    return training[:_MOST], held_out


def _ascii(modules: list[Path]) -> Iterator[bytes]:
    for module in modules:
        if module.stat().st_size <= _LARGEST:
            text = read_bytes(module, _LARGEST)
            if text.isascii() and len(text) > _BYTES:
                yield text


def _pieces(text: bytes, count: int, rng: np.random.Generator, path: Path) -> str:
    """Pieces of a text as a file of documents."""
    starts = rng.integers(0, len(text) - _BYTES, count)
    rows = [
        {"id": f"{path.stem}-{number}", "text": text[start : start + _BYTES].decode()}
        for number, start in enumerate(starts)
    ]
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    return str(path)
