"""What Python and notebooks show of a study."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import calibrant
from calibrant.api.results import RankedStudy
from calibrant.core.errors import SettingsError


@pytest.fixture
def result(work: Path) -> RankedStudy:
    """A study of two calibrators, in ``out``."""
    found = calibrant.study(
        "m.onnx", "calib", "test", calibrators="minmax,percentile:90", out="out", race=False
    )
    assert isinstance(found, RankedStudy)
    return found


def test_its_repr_is_a_line_with_what_to_deploy(result: RankedStudy) -> None:
    told = repr(result)
    assert "\n" not in told
    assert len(told) < 200
    assert told.startswith("<study of m.onnx: use minmax: it ")
    assert told.endswith("; out>")


def test_a_notebook_shows_the_ranking_and_runs_nothing(result: RankedStudy) -> None:
    page = result._repr_html_()
    assert "<script" not in page
    assert page.count("<tr>") == 1 + 1 + len(result.trials)
    assert page.index("<td>→</td><td>minmax</td>") < page.index("percentile:90")


def test_files_of_the_recommended_candidate_are_paths(result: RankedStudy) -> None:
    assert result.recommended is not None
    files = result.recommended.files  # type: ignore[attr-defined]
    assert files["qdq"] == Path("out/minmax.qdq.onnx")
    assert all(path.is_file() for path in files.values())
    assert "files" not in result.to_dict()["recommended"], "study.json names them with their trial"


def test_the_plot_is_the_reports_and_can_be_saved(result: RankedStudy, tmp_path: Path) -> None:
    plot = result.plot()
    assert 'id="ranking"' in plot.html
    assert plot._repr_html_().startswith("<iframe srcdoc=")
    assert plot.save(tmp_path / "ranking.html").read_text("utf-8") == plot.html
    assert len(repr(plot)) < 80


def test_a_frame_has_a_row_for_each_candidate(result: RankedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[dict[str, Any]]] = []
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", SimpleNamespace(DataFrame=given.append))
    result.to_frame()
    (rows,) = given
    assert [row["calibrator"] for row in rows] == [trial.calibrator for trial in result.ranking]
    best = rows[0]
    assert best["recommended"]
    assert best["loss_low"] <= best["loss"] <= best["loss_high"]
    assert best[result.metric.name] == result.ranking[0].value
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(SettingsError, match="pip install pandas"):
        result.to_frame()


def test_other_results_have_a_short_repr_too(result: RankedStudy) -> None:
    for other in (calibrant.inspect("m.onnx"), calibrant.compare(["out", "out"])):
        assert type(other).__name__ in repr(other)
        assert len(repr(other)) < 500
        assert "\n" not in repr(other)
