"""The sections of the report, in its order: each makes plain data of a run, or None where it has none."""

from __future__ import annotations

from collections.abc import Callable

from calibrant.reports.html.blocks import Section
from calibrant.reports.html.sections.causes import causes
from calibrant.reports.html.sections.coverage import coverage
from calibrant.reports.html.sections.detections import detections
from calibrant.reports.html.sections.growth import growth
from calibrant.reports.html.sections.images import images
from calibrant.reports.html.sections.optimization import optimization
from calibrant.reports.html.sections.provenance import provenance
from calibrant.reports.html.sections.ranking import ranking
from calibrant.reports.html.sections.swap import swap
from calibrant.reports.html.sections.tensors import all_tensors, telling_tensors
from calibrant.reports.material import Material

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    ranking,
    causes,
    swap,
    telling_tensors,
    growth,
    detections,
    images,
    coverage,
    optimization,
    all_tensors,
    provenance,
)


def sections_of(material: Material) -> tuple[Section, ...]:
    """Every section that this run can fill."""
    return tuple(section for make in SECTIONS if (section := make(material)) is not None)
