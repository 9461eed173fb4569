"""Sounds in a report are played from the page itself."""

from __future__ import annotations

from calibrant.reports.html.blocks import PlayedSound, Section, Sounds
from calibrant.reports.html.page import Page, page_html


def test_both_models_sounds_are_in_the_page() -> None:
    played = PlayedSound("s1", "a <b> sentence", "data:audio/wav;base64,UklG", "data:audio/wav;base64,QUJD")
    section = Section("sounds", "Sounds", (Sounds("mse", (played,)),))
    page = page_html(Page("study", "joe", (), "Use mse", (), (), (section,), "runs/joe", ""))
    assert page.count("<audio controls") == 2
    assert 'src="data:audio/wav;base64,UklG"' in page
    assert "a &lt;b&gt; sentence" in page
    assert "media-src data:" in page
