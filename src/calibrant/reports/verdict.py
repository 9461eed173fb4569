"""The short answer of a run, in at most three sentences."""

from __future__ import annotations

from calibrant.reports.material import Material
from calibrant.reports.words import interval, points


def headline(material: Material) -> str:
    """What to deploy, in a few words."""
    if material.recommended is None:
        return "No candidate could be measured"
    return f"Use {material.recommended['calibrator']}"


def verdict(material: Material) -> tuple[str, ...]:
    """What to deploy, and why the others lose: from the diagnosis where there is one."""
    chosen = material.study["recommended"]
    if chosen is None:
        return tuple(f"{trial['calibrator']}: {trial['reason']}." for trial in material.failed[:3])
    reason = str(chosen["reason"])
    first = f"{reason[:1].upper()}{reason[1:]}."
    if material.diagnosis is not None and material.diagnosis.verdict:
        return (first, *material.diagnosis.verdict[:2])
    return (first, *_of_the_losing(material), _held_out(chosen["held_out_drop"]))


def _held_out(drop: float) -> str:
    return (
        f"Choosing on one half of the test images and measuring on the other loses {points(drop)} points, "
        "so much is to be expected on images that nobody has seen yet."
    )


def _of_the_losing(material: Material) -> tuple[str, ...]:
    entry = material.run.entry(material.losing) if material.losing else None
    if entry is None or not entry.get("drop_ci95"):
        return ()
    low, high = entry["drop_ci95"]
    verb = "loses" if entry["drop"] >= 0 else "gains"
    return (
        f"The worst candidate, {entry['calibrator']}, {verb} {points(abs(entry['drop']))} points "
        f"(95 % interval of the drop {interval(low, high)}).",
    )
