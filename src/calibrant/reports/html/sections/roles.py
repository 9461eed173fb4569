"""Which part a candidate plays: plots set the winner and the loser off by mark, line and colour."""

from __future__ import annotations

from collections.abc import Collection

from calibrant.reports.html.blocks import Key
from calibrant.reports.material import Material

WINNING, LOSING, OTHER, FP32 = "winning", "losing", "other", "fp32"


def role_of(calibrator: str, material: Material) -> str:
    """The name of the part: "winning", "losing" or "other"."""
    roles = {material.losing: LOSING, material.winning: WINNING}
    return roles.get(calibrator, OTHER)


def keys_of(
    material: Material,
    drawn: Collection[str],
    *,
    with_float: bool = False,
    with_others: bool = False,
) -> tuple[Key, ...]:
    """What the marks mean, for the candidates that are ``drawn``."""
    named = [
        (FP32, "FP32" if with_float else None),
        (WINNING, material.winning if material.winning in drawn else None),
        (LOSING, material.losing if material.losing in drawn else None),
        (OTHER, "other candidates" if with_others else None),
    ]
    return tuple(Key(mark, text) for mark, text in named if text is not None)
