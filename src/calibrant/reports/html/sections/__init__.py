"""The sections of the report, in its order: each makes plain data of a run, or None where it has none."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.reports.html.blocks import Section
from calibrant.reports.html.sections.causes import causes
from calibrant.reports.html.sections.coverage import coverage
from calibrant.reports.html.sections.growth import growth
from calibrant.reports.html.sections.optimization import optimization
from calibrant.reports.html.sections.parts import parts
from calibrant.reports.html.sections.precision import precision
from calibrant.reports.html.sections.provenance import provenance
from calibrant.reports.html.sections.ranking import ranking
from calibrant.reports.html.sections.swap import swap
from calibrant.reports.html.sections.tensors import all_tensors, differing_tensors
from calibrant.reports.material import Material
from calibrant.reports.tasks import task_sections


def _of_the_task(material: Material) -> Iterator[Section]:
    for make in task_sections(material.study.task):
        section = make(material)
        if section is not None:
            yield section


_FIRST = (parts, ranking, causes, swap, differing_tensors, growth, precision)
_LAST = (coverage, optimization, all_tensors, provenance)


def sections_of(material: Material) -> tuple[Section, ...]:
    """Every section that this run can fill; what only its task shows stands in the middle."""
    return (
        *(section for make in _FIRST if (section := make(material)) is not None),
        *_of_the_task(material),
        *(section for make in _LAST if (section := make(material)) is not None),
    )
