"""CTC's and transducers' layouts as ONNX files: what they hear is known, and all parts can be studied."""

from __future__ import annotations

from pathlib import Path

import pytest
from tone_recognizers import LAYOUTS, write_clips, write_recognizer

import calibrant


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder / "calib", 4, 1)
    write_clips(folder / "test", 12, 2)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_said_is_heard(layout: str, clips: Path, tmp_path: Path) -> None:
    folder = write_recognizer(tmp_path / layout, layout)
    found = calibrant.evaluate(folder, clips / "test", task="speech")
    assert found.family == ("transducer" if layout in ("zipformer_transducer", "parakeet_tdt") else "ctc")
    assert found.score.value == 0
    assert found.figures["exact clips"] == 100


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_part_is_quantized_and_still_hears(layout: str, clips: Path, tmp_path: Path) -> None:
    folder = write_recognizer(tmp_path / layout, layout)
    result = calibrant.study(
        folder,
        clips / "calib",
        clips / "test",
        out=tmp_path / "run",
        task="speech",
        calibrators="minmax",
        diagnose_budget=0,
    )
    assert {trial.status for trial in result.trials} == {"ok"}
    assert result.baseline.score.value == 0
    if len(result.parts) > 1:
        assert [part.name for part in result.parts] == ["encoder", "decoder", "joiner"]
        assert all(part.chosen for part in result.parts)
        whole = calibrant.evaluate(tmp_path / "run" / "deploy", clips / "test", task="speech")
        assert whole.score.value == result.trial("all parts").value
