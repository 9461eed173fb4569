"""What a file may not ask for by itself: a program, a module, or a place to write to.

A run's folder, a sweep's file and a recipe may be anybody's. What is read from them is data: models, images,
labels, numbers, names of what Calibrant itself brings. Whatever else a setting in them names needs the user's
own word, on the command line or as an argument of the function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from calibrant.calibrators import NamedCalibrator, installed_calibrators
from calibrant.core.errors import SettingsError
from calibrant.runtimes.options import parsed

if TYPE_CHECKING:
    from calibrant.studies.request import StudyRequest

# Every field of a request stands in one of the two: whoever adds one decides.
NEEDS_WORD = frozenset({"calibrators", "settings.runtime", "settings.metric"})
"""Fields that may name a program, a module or a place to write to."""

DATA_ONLY = frozenset(
    {
        "model", "calib", "data", "task", "family", "part", "limit", "calib_limit", "skip_bad",
        "settings.scheme", "settings.exclude", "settings.keep_head_float", "settings.input_shape",
        "settings.options", "settings.seed", "settings.race_error", "settings.prefer", "settings.max_loss",
    }
)  # fmt: skip
"""Fields that name files to be read as data, or nothing outside of Calibrant."""

# What a runtime may be told by a file; anything else (python=, folder=) names a program or a place.
_HARMLESS_OPTIONS = frozenset(
    {"workers", "qdq", "precision", "int8", "effort", "timeout", "device", "beside"}
)


def require_word(
    request: StudyRequest, source: str, runtime: str | None, calibrators: Sequence[NamedCalibrator] | None
) -> None:
    """Refuse what a file's request asks for and the user has not said himself.

    source: what the user calls the file. runtime, calibrators: the user's own word; None: he gave none.
    Raises SettingsError with the option to repeat.
    """
    wanted = request.settings.runtime
    if runtime != wanted:
        require_harmless_runtime(wanted, source, f"--runtime {wanted}")
    said = {calibrator.name for calibrator in calibrators or ()}
    require_packaged_calibrators(request.calibrators, source, said)


def require_harmless_runtime(wanted: str, source: str, remedy: str) -> None:
    """Refuse a runtime that a file describes with more than numbers and modes. Raises SettingsError."""
    _, options = parsed(wanted)
    named = next((f"{key}={value}" for key, value in options.items() if key not in _HARMLESS_OPTIONS), None)
    if named is not None:
        raise _unsaid(source, f"has Calibrant start or write what it names ({named})", remedy)


def require_packaged_calibrators(
    names: Iterable[str], source: str, said: Iterable[str] = (), remedy: str = ""
) -> None:
    """Refuse calibrators of other packages that a file names and the user does not.

    said: names that the user gave. remedy: how he gives them; empty: with ``--calibrators``.
    Raises SettingsError.
    """
    foreign = sorted(set(installed_calibrators(names)) - set(said))
    if foreign:
        words = remedy or f"--calibrators {','.join(foreign)}"
        raise _unsaid(source, f"asks for code of another package ({foreign[0]})", words)


def _unsaid(source: str, fact: str, remedy: str) -> SettingsError:
    return SettingsError(
        f"{source} {fact}, and it may be anybody's; if you mean that, say it yourself: {remedy}"
    )
