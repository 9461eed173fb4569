"""The report of a finished study."""

from __future__ import annotations

from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.core.errors import SettingsError
from calibrant.reports.files import FORMS


def report(run: PathLike, *, form: str = "html", out: PathLike | None = None) -> Path:
    """Write the report of a run, from study.json and whatever other commands put beside it.

    form: ``html`` (one file that needs no network), ``pdf`` (printed by an installed
    Chromium, Chrome or Edge) or ``md`` (a summary for a pull request). out: the file to write, by default
    ``report.<form>`` in the run's folder. Returns the file. Raises CalibrantError.
    """
    if form not in FORMS:
        raise SettingsError(f"there is no report as '{form}'; choose one of {', '.join(FORMS)}")
    file = Path(out) if out is not None else Path(run) / f"report.{form}"
    FORMS[form](Path(run), file)
    return file
