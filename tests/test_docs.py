"""The documents hold together: every link leads somewhere, and every decision is in the index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from calibrant.testing import CalibratorConformance

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def test_links_between_files_lead_somewhere() -> None:
    links = [(file, target) for file in DOCUMENTS for target in LINK.findall(file.read_text("utf-8"))]
    assert len(links) > 5
    assert [f"{file.name}: {target}" for file, target in links if not (file.parent / target).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, open_pages = set[Path](), [ROOT / "README.md"]
    while open_pages:
        page = open_pages.pop()
        reached.add(page)
        targets = {(page.parent / target).resolve() for target in LINK.findall(page.read_text("utf-8"))}
        open_pages += [target for target in targets - reached if target.suffix == ".md"]
    assert [page.name for page in DOCUMENTS if page not in reached] == []


def test_every_decision_is_in_the_index_with_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text("utf-8")
    for page in sorted(folder.glob("[0-9]*.md")):
        number, title = page.read_text("utf-8").splitlines()[0].removeprefix("# ").split(". ", 1)
        assert page.name.startswith(f"{int(number):04d}-")
        assert f"| {number} | [{title}]({page.name}) |" in index


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    page = (ROOT / "docs" / "install.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page.partition("| extra |")[2].partition("\n## ")[0], re.MULTILINE)
    told = {extra for row in rows for extra in re.findall(r"`([a-z-]+)`", row)}
    assert told == project["optional-dependencies"].keys()


def test_the_rooms_of_the_contributing_guide_exist() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:[a-z_]+/)+|(?:[a-z_]+/)*[a-z_]+\.py)`", guide)
    assert len(named) > 15
    places = (ROOT, ROOT / "src" / "calibrant")
    made = (ROOT / ".gitignore").read_text("utf-8").splitlines()  # by a build, perhaps not yet
    missing = [name for name in named if not any((place / name).exists() for place in places)]
    assert set(missing) <= set(made)


def test_the_calibrator_of_the_contributing_guide_conforms() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    names: dict[str, Any] = {}
    exec(guide.split("```python\n")[1].split("```")[0], names)
    cases = CalibratorConformance()
    cases.calibrator = names["three_sigma"]
    tests = [name for name in dir(cases) if name.startswith("test_")]
    assert len(tests) >= 8
    for name in tests:
        getattr(cases, name)()
