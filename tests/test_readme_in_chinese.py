"""README.zh-CN.md says what README.md says: same sections, code, commands and links, in the same order."""

from __future__ import annotations

import re

import pytest

from pages import ROOT, blocks_of

ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAIR = (ENGLISH, CHINESE)
EACH_OTHER = {CHINESE.name, ENGLISH.name}


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "pattern",
    [r"^#+(?= )", r"^\|(?=.*\|$)", r"^- (?=\*\*)", r"`([^`]+)`", r"\]\(([^)]+)\)"],
    ids=["headings", "rows of tables", "points", "code in the text", "links"],
)
def test_the_text_is_built_alike(pattern: str) -> None:
    english, chinese = (re.findall(pattern, prose(page.read_text("utf-8")), re.MULTILINE) for page in PAIR)
    assert len(english) > 2
    shared = [[part for part in found if part not in EACH_OTHER] for found in (english, chinese)]
    assert shared[0] == shared[1]


def test_the_code_is_the_same() -> None:
    english, chinese = ([(block.language, block.text) for block in blocks_of(page)] for page in PAIR)
    assert len(english) > 3
    assert english == chinese


def test_each_leads_to_the_other() -> None:
    for page, other in (PAIR, PAIR[::-1]):
        assert f"]({other.name})" in page.read_text("utf-8").split("\n## ")[0]


def test_the_figures_of_the_text_are_the_same() -> None:
    english, chinese = (sorted(re.findall(r"\d+(?:\.\d+)*", prose(page.read_text("utf-8")))) for page in PAIR)
    assert english == chinese
