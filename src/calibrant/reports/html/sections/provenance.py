"""Settings, versions, hashes, and the command to repeat the study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calibrant.reports.html.blocks import Block, Command, Facts, Heading, Paragraph, Section
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING, repeat_command


def provenance(material: Material) -> Section:
    """Enough to make the same study again."""
    study = material.study
    blocks: list[Block] = []
    if material.request is not None:
        blocks += [Paragraph("This study again:"), Command(repeat_command(material.request))]
    blocks += [
        Heading("Model"),
        _facts(study["model"], leave_out=("profile",)),
        Heading("Data"),
        _facts(study["data"]),
        Heading("Settings"),
        _facts(study["settings"]),
        Heading("Versions"),
        _facts(study["environment"]),
    ]
    return Section("provenance", "How it was made", tuple(blocks))


def _facts(content: Mapping[str, Any], leave_out: tuple[str, ...] = ()) -> Facts:
    shown = {name: value for name, value in content.items() if name not in leave_out}
    return Facts(tuple((name.replace("_", " "), _lines(value)) for name, value in shown.items()))


def _lines(value: Any) -> tuple[str, ...]:
    if value is None or value in ([], ""):
        return (NOTHING,)
    if isinstance(value, list):
        return tuple(map(str, value))
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    return (str(value),)
