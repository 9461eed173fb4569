"""``calibrant report``, and the report that every study writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcomes import Run


def test_a_study_writes_its_report_and_report_writes_it_again(study: Run, run: Run, work: Path) -> None:
    finished = study()
    assert finished.code == 0
    assert f"Report: {Path('out') / 'report.html'}" in finished.out
    written = (work / "out" / "report.html").read_text("utf-8")
    assert written.startswith("<!doctype html>")
    (work / "out" / "report.html").unlink()
    answer = run("report", "out")
    assert (answer.code, answer.out.strip()) == (0, str(Path("out") / "report.html"))
    assert (work / "out" / "report.html").read_text("utf-8") == written


def test_coverage_and_optimize_tell_the_report_of_their_study(study: Run, run: Run, work: Path) -> None:
    study()
    report = work / "out" / "report.html"
    assert "The calibration set" not in report.read_text("utf-8")
    data = ("--calib", "calib", "--data", "test", "--calibrators", "minmax")
    assert run("coverage", "m.onnx", *data, "--shuffles", 2, "--budget", 0, "--out", "out").code == 0
    assert "The calibration set" in report.read_text("utf-8")
    assert run("optimize", "out", "--budget", "1s", "--out", "best").code == 0
    assert "Beyond calibrators" in report.read_text("utf-8")
    assert not (work / "best" / "report.html").exists()


def test_the_summary_goes_where_it_is_told(study: Run, run: Run, work: Path) -> None:
    study()
    assert run("report", "out", "--markdown").code == 0
    assert run("report", "out", "--markdown", "--out", "elsewhere/summary.md").code == 0
    assert (work / "elsewhere" / "summary.md").read_bytes() == (work / "out" / "report.md").read_bytes()
    assert "| → | **minmax** |" in (work / "out" / "report.md").read_text("utf-8")


def test_a_report_that_fails_never_fails_a_study(
    study: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study().code == 0
    monkeypatch.setattr("calibrant.reports.files.report_html", lambda _: 1 / 0)
    answer = study()
    assert answer.code == 0
    assert "no report.html: " in answer.err
    assert "division by zero" in answer.err
    assert not (work / "out" / "report.html").exists(), "the old one tells of another study"


def test_a_pdf_without_a_browser_is_refused_in_one_line(
    study: Run, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    study()
    monkeypatch.setattr("calibrant.reports.browser.BROWSERS", ("no-such-browser",))
    answer = run("report", "out", "--pdf")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "a PDF needs Chromium, Chrome or Edge" in answer.err


def test_what_is_no_run_is_refused(run: Run, work: Path) -> None:
    assert "is no folder" in run("report", "nowhere").err
    assert run("report", "calib").code == 2
    assert "not both" in run("report", "calib", "--pdf", "--markdown").err
