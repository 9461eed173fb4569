"""The table of calibrators, and what users write to name one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from calibrant.calibrators.entropy import entropy2
from calibrant.calibrators.minmax import minmax
from calibrant.calibrators.mse import mse
from calibrant.calibrators.percentile import legacy, percentile
from calibrant.core.errors import SettingsError
from calibrant.core.types import Calibrator

ENTRY_POINT_GROUP = "calibrant.calibrators"
LEGACY_QUANTILE = 0.9999
DEFAULT_PERCENTILES = (99.999, 99.99, 99.9)


@dataclass(frozen=True)
class NamedCalibrator:
    """A calibrator as a study knows it.

    ``algorithm`` is the TensorRT algorithm whose cache header carries its scales.
    ``pool_ties`` says whether TensorRT gives a pooling output its input's scale under it, and
    ``simplicity`` orders ties: less is simpler. ``quantile`` is what
    a Legacy cache's header says.
    """

    name: str
    calibrate: Calibrator
    algorithm: str = "entropy2"
    pool_ties: bool = True
    simplicity: int = 100
    quantile: float = LEGACY_QUANTILE

    @property
    def file_stem(self) -> str:
        """The name as part of a file name."""
        return "".join(c if c.isalnum() or c in ".-_" else "-" for c in self.name)


def _legacy_of(argument: str) -> NamedCalibrator:
    quantile = _number("legacy", argument) if argument else LEGACY_QUANTILE
    name = f"legacy:{argument}" if argument else "legacy"
    return NamedCalibrator(name, legacy(quantile), "legacy", pool_ties=False, simplicity=4, quantile=quantile)


def _percentile_of(argument: str) -> NamedCalibrator:
    if not argument:
        raise SettingsError("percentile needs its number; use e.g. percentile:99.99")
    return NamedCalibrator(
        f"percentile:{argument}", percentile(_number("percentile", argument)), simplicity=1
    )


def _plain(entry: NamedCalibrator) -> Callable[[str], NamedCalibrator]:
    def make(argument: str) -> NamedCalibrator:
        if argument:
            raise SettingsError(f"{entry.name} takes no parameter, but got {argument!r}; write {entry.name}")
        return entry

    return make


# From the simplest to the most intricate; each makes a calibrator from what follows the colon.
CALIBRATORS: dict[str, Callable[[str], NamedCalibrator]] = {
    "minmax": _plain(NamedCalibrator("minmax", minmax, "minmax", simplicity=0)),
    "percentile": _percentile_of,
    "mse": _plain(NamedCalibrator("mse", mse, simplicity=3)),
    "legacy": _legacy_of,
    "entropy2": _plain(NamedCalibrator("entropy2", entropy2, "entropy2", simplicity=5)),
    "entropy": _plain(NamedCalibrator("entropy", entropy2, "entropy", pool_ties=False, simplicity=6)),
}

DEFAULT_CALIBRATORS = (
    "minmax",
    *(f"percentile:{percent:g}" for percent in DEFAULT_PERCENTILES),
    "mse",
    "legacy",
    "entropy2",
    "entropy",
)


def calibrator_named(text: str) -> NamedCalibrator:
    """Look up ``name`` or ``name:parameter``, in the table and among installed entry points.

    Raises SettingsError with the closest known name.
    """
    name, _, argument = text.strip().partition(":")
    if name in CALIBRATORS:
        return CALIBRATORS[name](argument)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == text.strip():
            return NamedCalibrator(entry.name, _loaded(entry))
    known = [*CALIBRATORS, *(e.name for e in entry_points(group=ENTRY_POINT_GROUP))]
    close = get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    raise SettingsError(f"no calibrator is called {text!r}; {hint}")


def calibrators_named(text: str) -> tuple[NamedCalibrator, ...]:
    """Read a comma-separated list; ``percentile:99.9|99.99`` stands for one each.

    Raises SettingsError for unknown names and for an empty or repeated one.
    """
    return distinct(calibrator_named(item) for item in _expanded(text))


def known_calibrators(
    names: Iterable[str], own: Iterable[NamedCalibrator] = ()
) -> tuple[NamedCalibrator, ...]:
    """Calibrators by their names, those of ``own`` first.

    Raises SettingsError as :func:`calibrators_named`.
    """
    given = {calibrator.name: calibrator for calibrator in own}
    items = (item for name in names for item in ((name,) if name in given else _expanded(name)))
    return distinct(given.get(item) or calibrator_named(item) for item in items)


def installed_calibrators(names: Iterable[str]) -> list[str]:
    """Those of the names that stand for calibrators of other packages; nothing is imported to tell."""
    items = (item.strip() for name in names for item in _expanded(name))
    foreign = [item for item in items if item.partition(":")[0] not in CALIBRATORS]
    installed = {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)} if foreign else set()
    return [item for item in foreign if item in installed]


def distinct(entries: Iterable[NamedCalibrator]) -> tuple[NamedCalibrator, ...]:
    """The entries as a tuple. Raises SettingsError when there is none or two share a name or file."""
    found = tuple(entries)
    if not found:
        raise SettingsError(
            f"no calibrator was named; use e.g. --calibrators {','.join(DEFAULT_CALIBRATORS[:2])}"
        )
    stems = [entry.file_stem for entry in found]
    for entry in found:
        if stems.count(entry.file_stem) > 1:
            raise SettingsError(f"calibrator {entry.name!r} is named twice; name it once")
    return found


def _expanded(text: str) -> list[str]:
    items: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, colon, arguments = part.partition(":")
        items += [f"{name}{colon}{argument}" for argument in arguments.split("|")]
    return items


def _loaded(entry: EntryPoint) -> Calibrator:
    try:
        loaded = entry.load()
    except Exception as error:
        raise SettingsError(f"calibrator {entry.name!r} ({entry.value}) does not load: {error}") from error
    if not callable(loaded):
        raise SettingsError(
            f"calibrator {entry.name!r} ({entry.value}) is no function; give it two arguments"
        )
    found: Calibrator = loaded
    return found


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{name}:{text} is no number; use e.g. {name}:99.99") from None
