"""Figures and names as the report and the summary write them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from calibrant.core.metrics import Metric

_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""


def points(value: float | None) -> str:
    """Points to one decimal."""
    return NOTHING if value is None else f"{round(value, 1) + 0.0:.1f}".replace("-", _MINUS)


def signed(value: float) -> str:
    """Points with their sign."""
    text = f"{round(value, 1) + 0.0:+.1f}"
    return text.replace("-", _MINUS)


def shown(value: float | None, metric: Metric) -> str:
    """A value or a loss, as the metric is told."""
    return NOTHING if value is None else metric.text(value).replace("-", _MINUS)


def format_change(value: float, metric: Metric) -> str:
    """A difference with its sign."""
    text = metric.text(value)
    return (text if text.startswith("-") else f"+{text}").replace("-", _MINUS)


def interval(low: float, high: float, metric: Metric) -> str:
    """A 95 % interval, e.g. "0.2 to 1.4"."""
    return f"{shown(low, metric)} to {shown(high, metric)}"


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
