"""A run's report as a file: HTML, PDF or Markdown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from calibrant.artifacts.store import remove, write_bytes
from calibrant.core.progress import Progress
from calibrant.core.scratch import ScratchFolder
from calibrant.reports.browser import print_pdf, require_browser
from calibrant.reports.html.page import report_html
from calibrant.reports.markdown import markdown_summary
from calibrant.reports.material import REPORT, load_material
from calibrant.studies.run import RESULT
from calibrant.studies.run_files import read_as_written


def write_html(run: Path, out: Path) -> None:
    """Write the report of a run's folder as one HTML file. Raises DataError, SettingsError or OutputError."""
    with read_as_written(run):
        page = report_html(load_material(run))
    write_bytes(out, page.encode(errors="replace"))


def write_pdf(run: Path, out: Path) -> None:
    """Print the report. Raises also SettingsError where no browser is found."""
    require_browser()
    with ScratchFolder() as folder:
        page = folder / REPORT
        write_html(run, page)
        print_pdf(page, out)


def write_markdown(run: Path, out: Path) -> None:
    """Write the summary for a pull request. Raises DataError or OutputError."""
    with read_as_written(run):
        summary = markdown_summary(load_material(run))
    write_bytes(out, summary.encode(errors="replace"))


FORMS: dict[str, Callable[[Path, Path], None]] = {
    "html": write_html,
    "pdf": write_pdf,
    "md": write_markdown,
}
"""By the suffix of the file."""


def accompany(run: Path, progress: Progress) -> None:
    """Write report.html beside a study's results, which stand already: a failure is only a note.

    A folder without a study is left alone.
    """
    if not (run / RESULT).is_file():
        return
    try:
        write_html(run, run / REPORT)
    except Exception as error:
        progress.note(f"no report.html: {' '.join(str(error).split()) or type(error).__name__}")
        remove(run / REPORT)
