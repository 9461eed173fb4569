"""report.html in a real browser: it is drawn, its controls work, and nothing complains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headless import Page, headless_page
from made_run import made_run
from test_report_page import EVIL

from calibrant.reports.browser import find_browser
from calibrant.reports.files import write_html, write_pdf

WIDE, NARROW = 1280, 360


@pytest.fixture(scope="module")
def browser() -> Path:
    found = find_browser()
    if found is None:
        pytest.skip(
            "needs Chromium, Chrome or Edge (Debian: apt-get install chromium), and none is installed"
        )
    return found


@pytest.fixture(scope="module")
def chromium(browser: Path) -> Iterator[Page]:
    with headless_page(browser) as page:
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    """A page that must not complain in any test."""
    chromium.complaints.clear()
    chromium.requests.clear()
    yield chromium
    assert chromium.complaints == []
    assert [address for address in chromium.requests if not address.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = made_run(tmp_path_factory.mktemp("run"))
    write_html(folder, folder / "report.html")
    return folder / "report.html"


@pytest.mark.parametrize("width", [WIDE, 768, NARROW])
def test_every_plot_is_drawn_and_nothing_is_wider_than_the_screen(
    page: Page, report: Path, width: int
) -> None:
    page.open(report, width)
    plots = "[...document.querySelectorAll('[data-plot]')]"
    assert page.run(f"{plots}.length") > 10
    assert page.run(f"{plots}.every(plot => plot.querySelector('svg path, svg circle'))")
    assert page.run("document.documentElement.scrollWidth") == width


def test_plots_are_drawn_again_for_another_width(page: Page, report: Path) -> None:
    page.open(report, WIDE)
    width = "Number(document.querySelector('[data-plot] svg').getAttribute('width'))"
    wide = page.run(width)
    page.resize(NARROW)
    page.settle()
    assert wide > 800
    assert page.run(width) <= NARROW


def test_dark_and_light_follow_the_system_and_the_switch(page: Page, report: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    click = "document.getElementById('theme').click()"
    page.open(report, dark=True)
    dark = page.run(colour)
    page.run(click)  # light
    light = page.run(colour)
    page.run(click)  # dark
    assert page.run(colour) == dark
    page.run(click)  # as the system says
    page.open(report, dark=False)
    assert page.run(colour) == light == "rgb(255, 255, 255)"
    assert dark != light


def test_a_click_on_a_title_sorts_and_a_second_one_the_other_way(page: Page, report: Path) -> None:
    page.open(report)
    table = "document.querySelector('#all-tensors table')"
    shown = f"[...{table}.tBodies[0].rows].filter(r => !r.hidden).map(r => Number(r.cells[4].dataset.value))"
    click = f"{table}.tHead.rows[0].cells[4].querySelector('button').click()"
    before = page.run(shown)
    page.run(click)
    assert page.run(shown) == sorted(before, reverse=True) != before
    assert page.run(f"{table}.tHead.rows[0].cells[4].getAttribute('aria-sort')") == "descending"
    page.run(click)
    assert page.run(shown) == sorted(before)


def test_the_table_of_all_tensors_shows_one_candidate_and_what_is_looked_for(
    page: Page, report: Path
) -> None:
    page.open(report)
    rows = "[...document.querySelectorAll('#all-tensors tbody tr')].filter(r => !r.hidden)"
    groups = f"[...new Set({rows}.map(r => r.dataset.group))]"
    assert page.run(groups) == ["minmax"]
    fill(page, "select", "entropy2", "change")
    assert page.run(groups) == ["entropy2"]
    fill(page, "input", "MODEL.11/", "input")
    assert page.run(f"{rows}.length") == 1


def fill(page: Page, control: str, value: str, event: str) -> None:
    element = f"document.querySelector('#all-tensors {control}')"
    page.run(f"{element}.value = '{value}'; {element}.dispatchEvent(new Event('{event}'))")


def test_figures_behind_a_plot_unfold(page: Page, report: Path) -> None:
    page.open(report)
    is_shown = "document.querySelector('#ranking table').checkVisibility()"
    assert not page.run(is_shown)
    page.run("document.querySelector('#ranking summary').click()")
    assert page.run(is_shown)


def test_both_panels_show_the_photograph_that_is_there_once(page: Page, report: Path) -> None:
    page.open(report)
    page.run("document.querySelector('.photo').scrollIntoView()")
    panels = "[...document.querySelector('.photo').querySelectorAll('image, use')]"
    first, second = page.run(f"{panels}.map(panel => panel.getBoundingClientRect().width)")
    assert first == second > 100
    assert page.run("document.querySelectorAll('.photo')[0].querySelectorAll('image').length") == 1


def test_hostile_names_are_text(page: Page, tmp_path: Path) -> None:
    folder = made_run(tmp_path, EVIL)
    write_html(folder, folder / "report.html")
    page.open(folder / "report.html")
    page.run("window.alert = () => { window.wasObeyed = true }")
    every = "document.querySelectorAll('[data-plot] svg, button, td')"
    page.run(f"{every}.forEach(element => element.dispatchEvent(new MouseEvent('mouseover')))")
    assert page.run("window.wasObeyed === undefined")
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.querySelector('h1').textContent") == Path(EVIL.model).name
    labels = page.run("[...document.querySelectorAll('#swap svg text')].map(t => t.textContent).join(' ')")
    assert "</script>" in labels
    assert page.run("getComputedStyle(document.querySelector('h1 bdi')).unicodeBidi") == "isolate"


def test_a_script_that_is_not_ours_does_not_run(page: Page, report: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(
        report.read_text("utf-8").replace("</main>", "<script>window.ran = 1</script></main>"), "utf-8"
    )
    page.open(broken)
    assert page.run("window.ran === undefined")
    assert any("Content Security Policy" in complaint for complaint in page.complaints)
    page.complaints.clear()


def test_it_is_printed_as_pdf(browser: Path, report: Path, tmp_path: Path) -> None:
    write_pdf(report.parent, tmp_path / "report.pdf")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(content) > 50_000
