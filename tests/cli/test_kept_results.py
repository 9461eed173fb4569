"""--cache, --no-cache and --race on the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outcomes import Run

from calibrant.artifacts.arrays import packed, unpacked


def trials(folder: Path) -> list[dict[str, Any]]:
    content: dict[str, Any] = json.loads((folder / "study.json").read_text())
    for trial in content["trials"]:
        del trial["seconds"], trial["latency"]
    return list(content["trials"])


def entries(cache: Path) -> dict[str, float]:
    return {path.name: path.stat().st_size for path in cache.rglob("*") if path.is_file()}


def test_a_study_keeps_its_results_and_finds_them_again(study: Run, work: Path, own_cache: Path) -> None:
    calibrators = "minmax,percentile:90"
    assert study("--no-cache", calibrators=calibrators, out="a").code == 0
    assert not own_cache.exists()
    assert study(calibrators=calibrators, out="b").code == 0
    kept = entries(own_cache)
    assert study(calibrators=calibrators, out="c").code == 0
    assert entries(own_cache) == kept != {}
    assert trials(work / "a") == trials(work / "b") == trials(work / "c")


def test_an_image_of_other_content_is_another_sample(study: Run, work: Path, own_cache: Path) -> None:
    assert study(out="a").code == 0
    before = entries(own_cache)
    images = sorted((work / "test").rglob("*.png")) or sorted((work / "test").rglob("*.jpg"))
    images[0].write_bytes(images[1].read_bytes())
    assert study(out="b").code == 0
    assert entries(own_cache).keys() > before.keys()


def test_a_folder_that_cannot_keep_anything_is_a_note(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "file").touch()
    monkeypatch.setenv("CALIBRANT_CACHE", str(work / "file"))
    answer = study()
    assert answer.code == 0
    assert answer.err.count("note: nothing is cached") == 1


@pytest.mark.parametrize("error", ["0", "0.5", "x"])
def test_an_error_level_has_limits(study: Run, error: str) -> None:
    answer = study("--race-error", error)
    assert answer.code == 2
    assert "--race-error" in answer.err


def test_racing_can_be_left_out(study: Run, work: Path) -> None:
    assert study("--no-race", "--json").code == 0
    assert json.loads((work / "out" / "study.json").read_text())["settings"]["race_error"] is None


def _signed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def _changed(content: bytes, change: Callable[[Any], Any]) -> bytes:
    try:
        arrays = unpacked(content)
    except ValueError:  # a prepared image
        return content[:-1]
    return packed({name: np.asarray(change(array)) for name, array in arrays.items()})


def _shorter(values: Any) -> Any:
    return values[:-1] if len(np.shape(values) or (0,)) and np.size(values) != 1 else values


CHANGES: dict[str, Callable[[Any], Any]] = {
    "one less": _shorter,
    "none": lambda values: np.asarray(values)[..., :0] if np.ndim(values) else values,
    "one more dimension": lambda values: np.asarray(values)[None],
    "no numbers": lambda values: np.full(np.shape(values), "text"),
    "huge": lambda values: np.full_like(values, 2**40) if np.asarray(values).dtype.kind == "i" else values,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whole_entries_of_other_shapes_are_computed_anew(
    study: Run, work: Path, own_cache: Path, change: Callable[[Any], Any]
) -> None:
    assert study(out="a").code == 0
    for path in [path for path in own_cache.rglob("*") if path.is_file()]:
        path.write_bytes(_signed(_changed(path.read_bytes()[32:], change)))
    answer = study(out="b")
    assert answer.code == 0, answer.err
    assert trials(work / "a") == trials(work / "b")
