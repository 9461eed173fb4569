"""What only one task shows: a package for each, found by the task's name.

A package may have ``SECTIONS``, functions of a run's material that make sections of the report (or None), and
``difference_lines``, a function of what :meth:`Task.differences` gives that makes lines for the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeAlias

from calibrant.reports.html.blocks import Section

MakesSection: TypeAlias = Callable[[Any], Section | None]


def task_sections(task: str) -> Sequence[MakesSection]:
    """The sections that a task adds to the report."""
    found: Sequence[MakesSection] = getattr(_package(task), "SECTIONS", ())
    return found


def difference_lines(task: str, differences: Any) -> Iterator[str]:
    """How a candidate's predictions differ from FP32's, in lines.

    A task that says no more has its sentence.
    """
    own = getattr(_package(task), "difference_lines", None)
    if own is None:
        yield differences.sentence()
    else:
        yield from own(differences)


def _package(task: str) -> ModuleType | None:
    name = f"{__name__}.{task}"
    return import_module(name) if task.isidentifier() and find_spec(name) else None
