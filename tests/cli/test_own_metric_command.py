"""``--metric module:function``: a user's own metric decides, and runs only because he named it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from outcomes import Run

import calibrant
from calibrant.core.errors import SettingsError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_metric.py"


@pytest.fixture
def own(work: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The example's metric, in the current folder."""
    (work / "own_metric.py").write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    monkeypatch.delitem(sys.modules, "own_metric", raising=False)
    return "own_metric:missed"


def test_candidates_are_ranked_by_it_and_it_is_asked_for_again(
    run: Run, study: Run, work: Path, own: str
) -> None:
    answer = study("--metric", own)
    assert (answer.code, answer.err) == (0, "")
    found = json.loads((work / "out" / "study.json").read_text())
    assert (found["metric"]["name"], found["metric"]["direction"]) == ("missed", "minimize")
    assert found["settings"]["metric"] == own
    assert 0 <= found["baseline"]["score"]["value"] <= 100
    assert "map50_95" in found["baseline"]["figures"]
    assert found["recommended"] is not None
    for command in (("diagnose", "out"), ("resume", "out"), ("optimize", "out", "--out", "best")):
        assert "--metric own_metric:missed; say that again" in run(*command).error
    assert run("resume", "out", "--metric", own).code == 0
    assert run("diagnose", "out", "--metric", own, "--budget", "5s").code == 0
    assert run("report", "out").code == 0
    scored = json.loads(
        run("evaluate", "m.onnx", "--data", "test", "--limit", 20, "--metric", own, "--json").out
    )
    assert scored["score"] == found["baseline"]["score"]
    assert calibrant.compare(["out", "out"]) is not None


def test_a_runs_folder_loads_no_code(study: Run, run: Run, work: Path, own: str) -> None:
    assert study("--metric", own, "--limit", 20).code == 0
    (work / "own_metric.py").write_text("raise SystemExit('the code was run')\n")
    sys.modules.pop("own_metric")
    for command in (("diagnose", "out"), ("resume", "out"), ("optimize", "out", "--out", "best")):
        assert "say that again" in run(*command).error
    assert run("report", "out").code == 0
    assert "own_metric" not in sys.modules


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("nowhere:missed", "does not load: ModuleNotFoundError"),
        ("own_metric:other", "own_metric has no other"),
        ("own_metric:SURE", "does not say which direction is better"),
        ("own_metric.py", "write module:function"),
        ("os;system:x", "write module:function"),
    ],
)
def test_a_metric_that_is_none_is_refused(study: Run, own: str, metric: str, words: str) -> None:
    assert own
    answer = study("--metric", metric)
    assert answer.code == 2
    assert words in answer.error


def test_a_function_without_a_direction_is_refused(work: Path) -> None:
    assert work
    with pytest.raises(SettingsError, match=r"@calibrant.metric\(direction="):
        calibrant.study("m.onnx", "calib", "test", metric=len)  # type: ignore[arg-type]
