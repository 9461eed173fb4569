"""The report as one HTML file: sections rendered, scripts, styles and data inlined."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from calibrant.core.printable import printable_lines
from calibrant.reports.html.blocks import Plot, Section
from calibrant.reports.html.sections import sections_of
from calibrant.reports.html.sections.ranking import ranking
from calibrant.reports.material import Material
from calibrant.reports.verdict import headline, verdict
from calibrant.reports.words import interval, shown

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_VENDOR = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
_PLOTS = ("ranking", "waterfall", "histogram", "growth", "precision", "bars", "groups", "learning", "front")
_SCRIPTS = ("marks", *_PLOTS, "page")
"""Ours, in the order of their use: the shared marks first, and last what draws and listens."""


@dataclass(frozen=True)
class Figure:
    """A figure of the headline: what it is, and its value."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Page:
    """What a report says, as plain data.

    ``kind`` stands small above the ``heading``, ``facts`` below it; ``verdict`` is in sentences. ``folder``
    is what it was made from, and ``closing`` says where in it the figures are.
    """

    kind: str
    heading: str
    facts: tuple[str, ...]
    headline: str
    figures: tuple[Figure, ...]
    verdict: tuple[str, ...]
    sections: tuple[Section, ...]
    folder: str
    closing: str


def report_html(material: Material) -> str:
    """A run's page."""
    study = material.study
    return page_html(
        Page(
            kind=f"study of {study.created[:10]}",
            heading=material.model_name,
            facts=(
                study.model.family,
                f"{study.model.quantized_nodes} layers in INT8",
                f"{study.data.calibration_samples} calibration {material.words.samples}",
                _test_set(material),
                material.run.runtime,
            ),
            headline=headline(material),
            figures=_figures(material),
            verdict=verdict(material),
            sections=sections_of(material),
            folder=str(material.run.folder),
            closing="Every figure stands in that folder, in study.json and the files beside it.",
        )
    )


def ranking_html(material: Material) -> str:
    """The ranking alone, as a page of its own."""
    study, section = material.study, ranking(material)
    return page_html(
        Page(
            kind=f"study of {study.created[:10]}",
            heading=material.model_name,
            facts=(study.model.family, _test_set(material), material.run.runtime),
            headline=headline(material),
            figures=_figures(material),
            verdict=(),
            sections=(section,) if section else (),
            folder=str(material.run.folder),
            closing="Every figure stands in that folder, in study.json.",
        )
    )


def page_html(page: Page) -> str:
    """A whole page."""
    environment = _environment()
    plots = _plots(page.sections)
    position_of = {id(plot): position for position, plot in enumerate(plots)}
    scripts = [_asset(name) for name in _VENDOR] + [_asset(f"assets/{name}.js") for name in _SCRIPTS]
    return environment.get_template("page.html").render(
        page=page,
        plot_id=lambda plot: position_of[id(plot)],
        data=_script_safe([{"kind": plot.kind, **plot.data} for plot in plots]),
        styles=_markup(_asset("assets/report.css")),
        scripts=[_markup(script) for script in scripts],
        policy=_policy(scripts),
        version=version("calibrant"),
    )


def _test_set(material: Material) -> str:
    words, data = material.words, material.study.data
    labels = data.facts.get(words.labels)
    labelled = "" if labels is None else f" with {labels:,} {words.labels}"
    return f"{data.test_samples:,} test {words.samples}{labelled}"


def _figures(material: Material) -> tuple[Figure, ...]:
    """FP32's score, the recommended candidate's, and what is lost."""
    metric = material.metric
    full = Figure("FP32", shown(material.study.baseline.score.value, metric), metric.column)
    chosen = material.recommended
    if chosen is None or chosen.loss is None:
        return (full,)
    within = f"95 % interval {interval(chosen.loss.low, chosen.loss.high, metric)}"
    return (
        full,
        Figure(f"INT8, {chosen.calibrator}", shown(chosen.value, metric), metric.column),
        Figure("lost", shown(chosen.loss.value, metric), within),
    )


def _plots(sections: tuple[Section, ...]) -> list[Plot]:
    return [block for section in sections for block in section.blocks if isinstance(block, Plot)]


def _script_safe(content: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(_calm(content), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return _markup(text)


def _calm(content: Any) -> Any:
    """Data with its texts as they may be shown: a plot writes them into the page."""
    if isinstance(content, str):
        return printable_lines(content)
    if isinstance(content, Mapping):
        return {_calm(key): _calm(value) for key, value in content.items()}
    return [_calm(value) for value in content] if isinstance(content, list | tuple) else content


def _shown_text(value: Any) -> Any:
    """What stands between braces in a template; markup is ours, and calm already."""
    return printable_lines(value) if type(value) is str else value


def _policy(scripts: list[str]) -> str:
    """A Content-Security-Policy.

    These scripts, inline styles, embedded samples, and nothing from anywhere.
    """
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("calibrant.reports.html"),
        autoescape=True,
        finalize=_shown_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = _coded
    return environment


def _coded(text: str) -> Markup:
    """Escaped text in which what stood between backticks is code."""
    from markupsafe import Markup, escape

    text = printable_lines(text)
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a lone backtick is none of ours
        return escape(text)
    shown = (
        Markup("<code>{}</code>").format(part) if position % 2 else escape(part)
        for position, part in enumerate(parts)
    )
    return Markup("").join(shown)


def _markup(text: str) -> Markup:
    """Text of our own, or escaped already."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704
