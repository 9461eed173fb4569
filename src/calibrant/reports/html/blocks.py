"""What a section of the report is made of: plain data, each with the template that shows it.

Texts are plain: everything is escaped when shown, and what stands between backticks is set as code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; ``is_note`` for what is said in passing."""

    template: ClassVar[str] = "paragraph.html"
    text: str
    is_note: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading below the section's own."""

    template: ClassVar[str] = "heading.html"
    text: str


@dataclass(frozen=True)
class Command:
    """A command line to copy."""

    template: ClassVar[str] = "command.html"
    text: str


@dataclass(frozen=True)
class Cell:
    """What a table shows, and what it is sorted by (the text where None)."""

    text: str
    value: float | None = None
    is_strong: bool = False


@dataclass(frozen=True)
class Column:
    """A table's column; numbers stand at the right, names of files and tensors are set as code."""

    title: str
    kind: str = "text"  # "text", "number" or "name"


@dataclass(frozen=True)
class Table:
    """A table that sorts by a click on a column's title.

    ``groups`` gives each row its group, and with it the table a choice of groups (named by ``group_title``),
    of which ``shown_group`` comes first. ``is_open``: shown at once, not folded behind its caption.
    """

    template: ClassVar[str] = "table.html"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_open: bool = False
    groups: tuple[str, ...] = ()
    group_title: str = ""
    shown_group: str = ""

    @property
    def group_names(self) -> tuple[str, ...]:
        """Each group once, in the order of the rows."""
        return tuple(dict.fromkeys(self.groups))


@dataclass(frozen=True)
class Key:
    """One entry of a plot's key: the mark's name (see assets/marks.js) and what it stands for."""

    mark: str
    text: str


@dataclass(frozen=True)
class Plot:
    """A plot with the table behind it. ``kind`` names its script in assets/, ``data`` is what that draws.

    ``alt`` says in words what the plot shows; ``heading`` and, smaller, ``title`` stand above it.
    """

    template: ClassVar[str] = "plot.html"
    kind: str
    data: Mapping[str, Any]
    alt: str
    heading: str = ""
    title: str = ""
    keys: tuple[Key, ...] = ()
    table: Table | None = None


@dataclass(frozen=True)
class Finding:
    """A cause: its title, the evidence, and what can be done, with commands."""

    title: str
    text: str
    where: tuple[str, ...]
    cost: str
    remedies: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Findings:
    """Causes, the gravest first; only the first ``shown`` are open."""

    template: ClassVar[str] = "findings.html"
    findings: tuple[Finding, ...]
    shown: int = 4


@dataclass(frozen=True)
class DrawnBox:
    """A box on a photograph, in its pixels; ``fate`` is "kept", "moved", "lost" or "gained".

    The label stands on the line ``label_y`` and begins, or with ``ends_at_x`` ends, at ``label_x``. corners:
    drawn instead of the box, where there are any. title: what is told of the box where it is pointed at.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    label_x: float
    label_y: float
    ends_at_x: bool
    fate: str
    corners: tuple[tuple[float, float], ...] = ()
    title: str = ""

    @property
    def points(self) -> str:
        """The corners as SVG writes them."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.corners)


@dataclass(frozen=True)
class Photo:
    """One sample with the boxes of both models. ``source`` is a data.

    Address, None where there is no file.
    """

    name: str
    summary: str
    width: int
    height: int
    source: str | None
    fp32: tuple[DrawnBox, ...]
    int8: tuple[DrawnBox, ...]


@dataclass(frozen=True)
class Photos:
    """Samples side by side, FP32 at the left and ``candidate`` at the right."""

    template: ClassVar[str] = "photos.html"
    candidate: str
    photos: tuple[Photo, ...]


@dataclass(frozen=True)
class PlayedSound:
    """One sample by both models, each a data address."""

    name: str
    summary: str
    fp32: str
    int8: str


@dataclass(frozen=True)
class Sounds:
    """Samples to listen to, FP32 above ``candidate``."""

    template: ClassVar[str] = "sounds.html"
    candidate: str
    sounds: tuple[PlayedSound, ...]


@dataclass(frozen=True)
class Facts:
    """Names and values; a value of several lines is a list."""

    template: ClassVar[str] = "facts.html"
    facts: tuple[tuple[str, tuple[str, ...]], ...]


Block: TypeAlias = Paragraph | Heading | Command | Table | Plot | Findings | Photos | Sounds | Facts


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading that the table of contents leads to."""

    id: str
    title: str
    blocks: tuple[Block, ...]
