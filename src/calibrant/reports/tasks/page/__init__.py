"""What a report shows of readers of pages: the pages that changed most, with what either model reads."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.reports.html.blocks import Block, DrawnBox, Heading, Paragraph, Photo, Photos, Section
from calibrant.reports.material import Material
from calibrant.reports.tasks.pictures import Budget, differences_in, small_copy
from calibrant.tasks.page.differences import PageChange, PageDifferences, ReadLine

_PAGES, _TOLD = 4, 3
_LONGEST_SIDE = 720


def pages(material: Material) -> Section | None:
    """The pages that changed most; None without a diagnosis, or where none did."""
    budget = Budget()
    blocks: list[Block] = []
    for found in differences_in(material):
        blocks.append(Paragraph(f"Under {found.calibrator}, {found.sentence()}."))
        worst = tuple(_photo(page, budget) for page in found.worst_pages[:_PAGES])
        if worst:
            blocks += [Heading(f"{found.calibrator}, worst first"), Photos(found.calibrator, worst)]
    if not blocks:
        return None
    told = (
        "Lines that both models read alike have no text beside them; dots mark those that are read otherwise."
    )
    return Section("pages", "The pages that changed most", (Paragraph(told), *blocks))


def difference_lines(found: PageDifferences) -> Iterator[str]:
    """How a candidate's pages differ from the float model's, in lines for the terminal."""
    yield f"\n{found.calibrator}: {found.sentence()}"
    yield f"pages that differ most: {', '.join(page.page for page in found.worst_pages[:_TOLD]) or 'none'}"


def _photo(page: PageChange, budget: Budget) -> Photo:
    small = small_copy(page.path, _LONGEST_SIDE)
    corners = [corner for line in (*page.reference, *page.candidate) for corner in line.corners]
    right, bottom = (max([corner[axis] for corner in corners], default=1.0) for axis in (0, 1))
    scale = small.scale if small else min(1.0, _LONGEST_SIDE / max(right, bottom, 1.0))
    return Photo(
        name=page.page,
        summary=f"{page.edits} characters differ",
        width=small.width if small else max(1, round(right * scale)),
        height=small.height if small else max(1, round(bottom * scale)),
        source=budget.take(small) if small else None,
        fp32=tuple(_drawn(line, scale) for line in page.reference),
        int8=tuple(_drawn(line, scale) for line in page.candidate),
    )


def _drawn(line: ReadLine, scale: float) -> DrawnBox:
    corners = tuple((round(x * scale, 1), round(y * scale, 1)) for x, y in line.corners)
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    label = "" if line.fate == "kept" else line.text or "(nothing)"
    return DrawnBox(left, top, 0, 0, label, left, max(top - 3, 11.0), False, line.fate, corners)


SECTIONS = (pages,)
