"""What callers may give, and what the stages are given for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from calibrant.calibrators import DEFAULT_CALIBRATORS, NamedCalibrator, calibrators_named, distinct
from calibrant.core.errors import SettingsError
from calibrant.core.schemes import TENSORRT, scheme_to_deploy
from calibrant.core.types import Calibrator
from calibrant.studies.plan import RENAMED, StudySettings, input_shape_of
from calibrant.studies.request import StudyRequest
from calibrant.tasks.registry import calibration_of, option_names

PathLike: TypeAlias = str | Path
_OF_REQUEST = ("task", "family", "limit", "calib_limit", "skip_bad")
_OF_SETTINGS = tuple(field.name for field in fields(StudySettings) if field.name != "options")

SOME_OF_TRAINING = 512
"""Calibration samples that are taken of a data set's training part, where nobody names any."""

_MOST_WITHIN_A_SECOND = 100

Shape: TypeAlias = str | int | Sequence[int] | None
Calibrators: TypeAlias = str | Calibrator | Iterable[str | Calibrator] | Mapping[str, Calibrator]


def chosen_calibrators(calibrators: Calibrators) -> tuple[NamedCalibrator, ...]:
    """Calibrators by name, or functions of the user's. Raises SettingsError."""
    if isinstance(calibrators, str):
        return calibrators_named(calibrators)
    if isinstance(calibrators, Mapping):
        return distinct(NamedCalibrator(name, _callable(function)) for name, function in calibrators.items())
    if not isinstance(calibrators, Iterable):
        calibrators = (calibrators,)
    return distinct(entry for item in calibrators for entry in _entries(item))


def _entries(item: str | Calibrator) -> tuple[NamedCalibrator, ...]:
    if isinstance(item, str):
        return calibrators_named(item)
    function = _callable(item)
    return (NamedCalibrator(getattr(item, "__name__", type(item).__name__), function),)


def _callable(item: object) -> Calibrator:
    if callable(item):
        function: Calibrator = item
        return function
    raise SettingsError(
        f"{item!r} is no calibrator; give names or functions (TensorStatistics, QuantSpec) -> Range"
    )


def study_request(
    model: PathLike, calib: PathLike | None, data: PathLike | None, arguments: Mapping[str, Any]
) -> tuple[StudyRequest, tuple[NamedCalibrator, ...]]:
    """What a study is asked for, and its calibrators.

    calib: None: the first SOME_OF_TRAINING samples of those that the data set was trained on, where it says.
    arguments: the keyword arguments of study, optimize or plan_study that decide a figure; what is left out
    has study's default, and what none of these has is an option of the task's. Raises SettingsError.
    """
    if data is None:
        raise SettingsError("a study needs labelled samples; give --data")
    own = dict(arguments)
    if calib is None:
        calib = _training_samples(data)
        own["calib_limit"] = own.get("calib_limit") or SOME_OF_TRAINING
    if (metric := own.pop("metric", None)) is not None:
        own["metric"] = metric.source
    chosen = chosen_calibrators(own.pop("calibrators", DEFAULT_CALIBRATORS))
    of_request = {name: own.pop(name) for name in _OF_REQUEST if name in own}
    if not own.pop("race", True):
        own["race_error"] = None
    of_settings = {name: own.pop(name) for name in (*_OF_SETTINGS, "deploy") if name in own}
    request = StudyRequest(
        model=str(model),
        calib=str(calib),
        data=str(data),
        calibrators=tuple(calibrator.name for calibrator in chosen),
        settings=settings_of(own, **of_settings),
        **of_request,
    )
    return request, chosen


def _training_samples(data: PathLike) -> str:
    found = calibration_of(str(data))
    if found is None:
        raise SettingsError(
            f"'{data}' does not say what was trained on; give calibration samples, e.g. --calib train/"
        )
    return found


def node_patterns(exclude: str | Sequence[str]) -> tuple[str, ...]:
    """One pattern of node names, or several."""
    return (exclude,) if isinstance(exclude, str) else tuple(exclude)


def new_run_folder(stem: str) -> Path:
    """Where a run goes when the user names no folder: ``runs/<stem>-<time>``, numbered within a second."""
    name = f"{stem}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    names = (name, *(f"{name}-{number}" for number in range(2, _MOST_WITHIN_A_SECOND)))
    return next((path for each in names if not (path := Path("runs") / each).exists()), Path("runs") / name)


def shape_of(input_shape: Shape) -> tuple[int, ...] | None:
    """An input shape as text ("48x320"), as a side of a square, or as sides. Raises SettingsError."""
    if input_shape is None:
        return None
    if isinstance(input_shape, str | int):
        return input_shape_of(str(input_shape))
    return tuple(input_shape)


def settings_of(
    options: Mapping[str, Any],
    *,
    input_shape: Shape = None,
    exclude: str | Sequence[str] = (),
    scheme: str = TENSORRT.name,
    deploy: str | None = None,
    **settings: Any,
) -> StudySettings:
    """The settings of a study; ``options`` are the task's own, of which None stands for the default.

    deploy: "cache" or "qdq", what the scheme is to predict; None: as the scheme says.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for former in RENAMED.keys() & given.keys():  # the only setting that had another name
        exclude = given.pop(former)
    for name in given:
        if name not in option_names():
            raise SettingsError(
                f"no task has an option {name!r}; see calibrant tasks, or help(calibrant.study)"
            )
    return StudySettings(
        exclude=node_patterns(exclude),
        scheme=scheme_to_deploy(scheme, deploy),
        input_shape=shape_of(input_shape),
        options=given,
        **settings,
    )
