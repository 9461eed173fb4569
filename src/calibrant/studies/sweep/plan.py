"""From a sweep's YAML file to the studies that it asks for; nothing is opened yet."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from calibrant.artifacts.yaml_places import Place, read_places
from calibrant.calibrators import DEFAULT_CALIBRATORS, calibrators_named
from calibrant.core.errors import CalibrantError, SettingsError
from calibrant.core.schemes import scheme_named
from calibrant.core.tasks import AUTO
from calibrant.runtimes import RUNTIMES
from calibrant.runtimes.options import parsed
from calibrant.studies.plan import RENAMED, StudySettings, input_shape_of
from calibrant.studies.request import StudyRequest
from calibrant.studies.trust import require_harmless_runtime, require_packaged_calibrators
from calibrant.tasks.registry import PROFILE_FILES, option_names, require_family, require_option

_AXES = ("model", "dataset", "scheme", "runtime")
_LISTS = {"models": None, "datasets": None, "schemes": "tensorrt", "runtimes": "onnxruntime"}
_OF_A_MODEL = ("path", "name", "task", "family", "input_shape")
_TOP = (*_LISTS, "calibrators", "settings", "skip")
# What a study may be told besides; the YAML's type and an example of it.
_SETTINGS: Mapping[str, tuple[type, str]] = {
    "limit": (int, "300"),
    "calib_limit": (int, "128"),
    "skip_bad": (bool, "true"),
    "keep_head_float": (bool, "true"),
    "seed": (int, "0"),
    "race": (bool, "false"),
    "race_error": (float, "0.01"),
}


@dataclass(frozen=True)
class SweepRun:
    """One study of a sweep. ``name`` is its folder's; the others say where it stands on each axis."""

    name: str
    model: str
    dataset: str
    scheme: str
    runtime: str
    request: StudyRequest


@dataclass(frozen=True)
class _Model:
    name: str
    path: Path
    task: str = AUTO
    family: str = AUTO
    input_shape: tuple[int, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Dataset:
    name: str
    calib: str
    data: str
    limits: Mapping[str, int] = field(default_factory=dict)


def read_sweep(path: Path, trusted: bool = False) -> tuple[SweepRun, ...]:
    """The studies that a sweep's file asks for, in its order. Paths in it are relative to its folder.

    trusted: the file may name programs (``python=``), places to write to and calibrators of other packages.
    Raises DataError for a file that cannot be read, and SettingsError, naming line and key, for whatever in
    it does not exist or does not fit.
    """
    top = read_places(path)
    places = top.fields(_TOP, required=("models", "datasets"))
    models, datasets = _models(places["models"]), _datasets(places["datasets"])
    schemes = [_checked(place, _scheme) for place in _list(places, "schemes")]
    runtimes = [_checked(place, _runtime) for place in _list(places, "runtimes")]
    if not trusted:
        _require_harmless(path, places)
    calibrators = _calibrators(places.get("calibrators"))
    settings = _settings(places.get("settings"))
    skipped = tuple(_skipped(places.get("skip")))
    runs = [
        _run(model, dataset, scheme, runtime, calibrators, settings)
        for model, dataset, scheme, runtime in product(models, datasets, schemes, runtimes)
    ]
    wanted = tuple(run for run in runs if not any(_matches(run, pattern) for pattern in skipped))
    if not wanted:
        raise places["skip"].wrong(f"nothing is left of {len(runs)} runs; skip fewer")
    _require_distinct(top, wanted)
    return wanted


def _run(
    model: _Model,
    dataset: _Dataset,
    scheme: str,
    runtime: str,
    calibrators: tuple[str, ...],
    settings: Mapping[str, Any],
) -> SweepRun:
    of_study = {name: value for name, value in settings.items() if name in StudySettings.__dataclass_fields__}
    of_request = {name: value for name, value in settings.items() if name not in of_study}
    options = {**of_study.pop("options", {}), **model.options}
    request = StudyRequest(
        model=str(model.path),
        calib=dataset.calib,
        data=dataset.data,
        calibrators=calibrators,
        task=model.task,
        family=model.family,
        **{**of_request, **dataset.limits},
        settings=StudySettings(
            scheme=scheme, runtime=runtime, input_shape=model.input_shape, options=options, **of_study
        ),
    )
    name = _safe(f"{model.name}-{dataset.name}-{scheme}-{runtime}")
    return SweepRun(name, model.name, dataset.name, scheme, runtime, request)


def _models(place: Place) -> list[_Model]:
    """A pattern stands for every file that it matches."""
    found: list[tuple[Path, dict[str, Place]]] = []
    for item in place.items():
        fields = item.fields((*_OF_A_MODEL, *option_names()), ("path",)) if _is_mapping(item) else {}
        found += [(path, fields) for path in _files(fields.get("path", item))]
    names = _tails([path for path, _ in found])
    return [
        _Model(
            fields["name"].text() if "name" in fields else names[path],
            path,
            fields["task"].text() if "task" in fields else AUTO,
            _family(fields["family"]) if "family" in fields else AUTO,
            _shape(fields["input_shape"]) if "input_shape" in fields else None,
            _options(fields),
        )
        for path, fields in found
    ]


def _datasets(place: Place) -> list[_Dataset]:
    found = []
    for item in place.items():
        fields = item.fields(("name", "calib", "data", "limit", "calib_limit"), ("calib", "data"))
        data = _existing(fields["data"])
        found.append(
            _Dataset(
                fields["name"].text() if "name" in fields else data.stem,
                str(_calibration(fields["calib"])),
                str(data),
                {key: fields[key].count() for key in ("limit", "calib_limit") if key in fields},
            )
        )
    return found


def _calibrators(place: Place | None) -> tuple[str, ...]:
    if place is None:
        return DEFAULT_CALIBRATORS
    names = ",".join(item.text() for item in place.items())
    return tuple(calibrator.name for calibrator in _or_wrong(place, lambda: calibrators_named(names)))


def _settings(place: Place | None) -> dict[str, Any]:
    """Settings that all runs share, checked; exclude is a list of node names or patterns."""
    if place is None:
        return {}
    fields = place.fields((*_SETTINGS, "exclude", *RENAMED, *option_names()))
    fields = {RENAMED.get(name, name): item for name, item in fields.items()}
    values = {
        key: item.count() if key.endswith("limit") else item.of_kind(*_SETTINGS[key])
        for key, item in fields.items()
        if key in _SETTINGS
    }
    if "exclude" in fields:
        values["exclude"] = tuple(item.text() for item in fields["exclude"].items())
    if values.pop("race", True) is False:
        values["race_error"] = None
    if options := _options(fields):
        values["options"] = options
    known: dict[str, Any] = {
        name: value for name, value in values.items() if name in StudySettings.__dataclass_fields__
    }
    _or_wrong(place, lambda: StudySettings(**known))
    return values


def _options(fields: Mapping[str, Place]) -> dict[str, Any]:
    """The tasks' own options among the keys of a mapping, checked by each task that has one of the name."""
    given = {}
    for name in option_names():
        if name in fields:
            place = fields[name]
            given[name] = place.value
            _or_wrong(place, lambda name=name, place=place: require_option(name, place.value))
    return given


def _shape(place: Place) -> tuple[int, ...]:
    """An input shape, e.g. 48x320."""
    found: tuple[int, ...] = _or_wrong(place, lambda: input_shape_of(str(place.value)))
    return found


def _skipped(place: Place | None) -> Iterator[dict[str, str]]:
    """Patterns by axis; a run that fits all of one entry is left out."""
    for item in place.items() if place else ():
        yield {axis: pattern.text() for axis, pattern in item.fields(_AXES).items()}


def _matches(run: SweepRun, patterns: Mapping[str, str]) -> bool:
    return bool(patterns) and all(
        fnmatchcase(getattr(run, axis), pattern) for axis, pattern in patterns.items()
    )


def _list(places: Mapping[str, Place], key: str) -> Sequence[Place]:
    place = places.get(key)
    if place is not None:
        return place.items()
    default = _LISTS[key]
    top = next(iter(places.values()))
    return (Place(top.file, top.lines, (key,), default),)


def _checked(place: Place, check: Any) -> str:
    text = place.text()
    _or_wrong(place, lambda: check(text))
    return text


def _scheme(name: str) -> None:
    scheme_named(name)


def _runtime(specification: str) -> None:
    """Known by name; whether it is installed is seen where it runs."""
    name, _ = parsed(specification)
    if name not in RUNTIMES:
        raise SettingsError(f"no runtime is called {name!r}; known: {', '.join(RUNTIMES)}")


def _require_harmless(path: Path, places: Mapping[str, Place]) -> None:
    remedy = f"--trust {path}"
    for place in _list(places, "runtimes"):
        text = place.text()
        _or_wrong(place, lambda: require_harmless_runtime(text, "this", remedy))  # noqa: B023 - called at once
    if (named := places.get("calibrators")) is not None:
        names = [item.text() for item in named.items()]
        _or_wrong(named, lambda: require_packaged_calibrators(names, "this", remedy=remedy))


def _or_wrong(place: Place, check: Any) -> Any:
    """What ``check`` returns; its error with the place before it."""
    try:
        return check()
    except CalibrantError as error:
        raise place.wrong(str(error)) from error


def _is_mapping(place: Place) -> bool:
    return isinstance(place.value, dict)


def _files(place: Place) -> list[Path]:
    text = place.text()
    path = place.file.parent / text
    if path.exists() or not glob.has_magic(text):
        return [_existing(place)]
    found = sorted(Path(name).absolute() for name in glob.glob(str(path), recursive=True))  # noqa: PTH207
    if not found:
        raise place.wrong(f"no file matches {text!r}; paths are relative to {place.file.parent.absolute()}")
    return found


def _existing(place: Place) -> Path:
    path = (place.file.parent / place.text()).absolute()
    if not path.exists():
        raise place.wrong(f"there is no {str(path)!r}; paths are relative to the file's own folder")
    return path


def _calibration(place: Place) -> Path:
    """A folder or file, or a pattern of files."""
    if not glob.has_magic(place.text()):
        return _existing(place)
    _files(place)
    return (place.file.parent / place.text()).absolute()


def _family(place: Place) -> str:
    """A family's name, or a profile's file."""
    text = place.text()
    if Path(text).suffix in PROFILE_FILES:
        return str(_existing(place))
    _or_wrong(place, lambda: require_family(text))
    return text


def _tails(paths: Sequence[Path]) -> dict[Path, str]:
    """A short name for each file: as many of its path's last parts as tell it from the others."""
    distinct = list(dict.fromkeys(paths))
    for parts in range(1, max((len(path.parts) for path in distinct), default=1) + 1):
        names = {path: "-".join(path.with_suffix("").parts[-parts:]) for path in distinct}
        if len(set(names.values())) == len(distinct):
            return names
    return {path: path.stem for path in distinct}


def _safe(name: str) -> str:
    """The name as part of a file name."""
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in name).lstrip(".") or "run"


def _require_distinct(top: Place, runs: Sequence[SweepRun]) -> None:
    seen: dict[str, SweepRun] = {}
    for run in runs:
        other = seen.setdefault(run.name.casefold(), run)
        if other is not run:
            raise top.wrong(
                f"two runs are called {run.name!r}; give their models or datasets names of their own"
            )
