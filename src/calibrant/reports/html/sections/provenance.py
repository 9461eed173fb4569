"""Settings, versions, hashes, and the command to repeat the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from calibrant.reports.html.blocks import Block, Command, Facts, Heading, Paragraph, Section
from calibrant.reports.material import Material
from calibrant.reports.words import NOTHING
from calibrant.studies.commands import study_command


def provenance(material: Material) -> Section:
    """Enough to make the same study again."""
    study = material.study
    blocks: list[Block] = []
    if material.request is not None:
        blocks += [Paragraph("This study again:"), Command(study_command(material.request))]
    blocks += [
        Heading("Model"),
        _facts(study.model.to_dict(), leave_out=("profile",)),
        Heading("Data"),
        _facts(asdict(study.data)),
        Heading("Settings"),
        _facts(study.settings),
        Heading("Versions"),
        _facts(study.environment),
    ]
    return Section("provenance", "How it was made", tuple(blocks))


def _facts(content: Mapping[str, Any], leave_out: tuple[str, ...] = ()) -> Facts:
    shown = {name: value for name, value in content.items() if name not in leave_out}
    return Facts(tuple((name.replace("_", " "), _lines(value)) for name, value in shown.items()))


def _lines(value: Any) -> tuple[str, ...]:
    if value is None or value in ([], "", {}):
        return (NOTHING,)
    if isinstance(value, list):
        return tuple(map(str, value))
    if isinstance(value, Mapping):
        return tuple(f"{name.replace('_', ' ')}: {', '.join(_lines(inner))}" for name, inner in value.items())
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    return (str(value),)
