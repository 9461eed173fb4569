"""What a user asked for, written again as a command line."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from calibrant.core.tasks import AUTO
from calibrant.studies.plan import StudySettings
from calibrant.studies.request import StudyRequest
from calibrant.tasks.registry import option_flags

_DEFAULTS = StudySettings()


_OF_STUDIES_ALONE = frozenset({"--runtime", "--prefer", "--max-loss", "--no-race", "--race-error"})


def study_command(request: StudyRequest, *options: str) -> str:
    """The command that runs the same study again; ``options`` take the place of its own of the same name."""
    return _command("study", request, options)


def coverage_command(request: StudyRequest) -> str:
    """The command that examines the same study's calibration samples."""
    return _command("coverage", request, left_out=_OF_STUDIES_ALONE)


def _command(
    verb: str, request: StudyRequest, options: Sequence[str] = (), left_out: Collection[str] = ()
) -> str:
    named = {*left_out, *(option for option in options if option.startswith("--"))}
    parts = ["calibrant", verb, request.model]
    for name, value in _options(request):
        if name not in named:
            parts += [name] if value is True else [name, str(value)]
    parts += [part for node in request.settings.exclude for part in ("--exclude", node)]
    return shlex.join([*parts, *options])


def _options(request: StudyRequest) -> Iterator[tuple[str, Any]]:
    """Every option that was given, with its value."""
    settings = request.settings
    told: dict[str, Any] = {
        "--calib": request.calib,
        "--data": request.data,
        "--calibrators": ",".join(request.calibrators),
        "--limit": request.limit,
        "--calib-limit": request.calib_limit,
        "--task": None if request.task == AUTO else request.task,
        "--family": None if request.family == AUTO else request.family,
        "--scheme": settings.scheme,
        "--runtime": settings.runtime,
        "--seed": None if settings.seed == _DEFAULTS.seed else settings.seed,
        "--prefer": None if settings.prefer == _DEFAULTS.prefer else settings.prefer,
        "--max-loss": settings.max_loss,
        "--keep-head-float": settings.keep_head_float or None,
        "--skip-bad": request.skip_bad or None,
        "--no-race": True if settings.race_error is None else None,
        "--race-error": settings.race_error
        if settings.race_error not in (None, _DEFAULTS.race_error)
        else None,
    }
    for name, flag in option_flags(request.task).items():
        told[flag] = settings.options.get(name)
    if settings.input_shape is not None and not any(told.get(flag) for flag in _side_flags(request.task)):
        told["--input-shape"] = "x".join(map(str, settings.input_shape))
    for name, value in told.items():
        if value is not None and value is not False:
            yield name, value


def _side_flags(task: str) -> tuple[str, ...]:
    return tuple(option_flags(task, sides_only=True).values())
