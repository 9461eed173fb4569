"""--cache, --no-cache and --race on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run


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
