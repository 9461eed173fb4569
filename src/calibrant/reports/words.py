"""Figures and names as the report and the summary write them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from calibrant.stages.recommend import shown
from calibrant.studies.request import StudyRequest

_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""


def points(value: float | None) -> str:
    """Points of mAP to one decimal."""
    return NOTHING if value is None else shown(value).replace("-", _MINUS)


def signed(value: float) -> str:
    """Points with their sign."""
    text = f"{round(value, 1) + 0.0:+.1f}"
    return text.replace("-", _MINUS)


def interval(low: float, high: float) -> str:
    """A 95 % interval, e.g. "0.2 to 1.4"."""
    return f"{points(low)} to {points(high)}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as per cent; what is more than nothing never reads as nothing."""
    if fraction is None:
        return NOTHING
    least = 10.0**-digits
    if 0 < 100 * fraction < least:
        return f"<{_SPACE}{least:.{digits}f}{_SPACE}%"
    return f"{100 * fraction:.{digits}f}{_SPACE}%".replace("-", _MINUS)


def figure(value: float | None, digits: int = 3) -> str:
    """A number in a few significant digits, without an exponent where it can be read without."""
    if value is None or not math.isfinite(value):
        return NOTHING
    rounded = float(f"{value:.{digits}g}")
    if rounded != 0 and not 1e-3 <= abs(rounded) < 1e6:
        return f"{rounded:.{digits - 1}e}".replace("-", _MINUS)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded else 0
    return f"{rounded + 0.0:,.{decimals}f}".replace("-", _MINUS)


def decibel(value: float | None) -> str:
    """An SQNR in dB."""
    return NOTHING if value is None else f"{value:.1f}".replace("-", _MINUS)


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names as a sentence has them: "a, b and c", or "a, b, c and 5 others"."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def short(name: str, most: int = 34) -> str:
    """A long name with its middle left out; both ends tell tensors apart."""
    if len(name) <= most:
        return name
    tail = (most - 1) * 2 // 3
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def repeat_command(request: StudyRequest, seed_default: int = 0) -> str:
    """The command line that runs the same study again."""
    settings = request.settings
    options: Mapping[str, Any] = {
        "--calib": request.calib,
        "--data": request.data,
        "--calibrators": ",".join(request.calibrators),
        "--limit": request.limit,
        "--calib-limit": request.calib_limit,
        "--family": None if request.family == "auto" else request.family,
        "--imgsz": settings.imgsz,
        "--scheme": settings.scheme,
        "--runtime": settings.runtime,
        "--conf": settings.confidence,
        "--iou": settings.iou,
        "--seed": None if settings.seed == seed_default else settings.seed,
    }
    parts = ["calibrant", "study", request.model]
    parts += [part for name, value in options.items() if value is not None for part in (name, str(value))]
    parts += [part for node in settings.keep_float for part in ("--keep-float", node)]
    parts += ["--keep-head-float"] * settings.keep_head_float + ["--skip-bad"] * request.skip_bad
    return shlex.join(parts)
