"""A sweep's report as files beside its sweep.json."""

from __future__ import annotations

from pathlib import Path

from calibrant.artifacts.store import remove, write_bytes
from calibrant.core.progress import Progress
from calibrant.reports.html.sweep import sweep_html
from calibrant.reports.material import REPORT
from calibrant.reports.sweep import sweep_markdown
from calibrant.studies.sweep.result import SweepResult

MARKDOWN = "sweep.md"


def write_sweep_reports(result: SweepResult, folder: Path, progress: Progress) -> None:
    """Write report.html and sweep.md. Where the first cannot be made there is a note instead.

    Raises OutputError.
    """
    write_bytes(folder / MARKDOWN, sweep_markdown(result).encode())
    try:
        write_bytes(folder / REPORT, sweep_html(result).encode())
    except Exception as error:
        progress.note(f"no report.html: {' '.join(str(error).split()) or type(error).__name__}")
        remove(folder / REPORT)
