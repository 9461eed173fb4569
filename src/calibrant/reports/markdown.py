"""The summary of a run in Markdown, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from calibrant.core.printable import printable_lines
from calibrant.reports.material import Material
from calibrant.reports.verdict import headline, verdict
from calibrant.reports.words import interval, shown
from calibrant.studies.commands import study_command
from calibrant.studies.result import Trial

_CAUSES = 5
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~@$&])")


def markdown_summary(material: Material) -> str:
    """Verdict, ranking, causes and the command to repeat it, in GitHub's Markdown.

    Names from files are escaped, so that they can neither format the text nor mention anybody.
    """
    return printable_lines("\n".join(_lines(material))) + "\n"


def _lines(material: Material) -> Iterator[str]:
    data, words = material.study.data, material.words
    yield f"### {plain(material.model_name)}: {plain(headline(material))}"
    yield ""
    for sentence in verdict(material):
        yield from (coded(sentence), "")
    yield from _ranking(material)
    yield ""
    yield (
        f"{data.test_samples} test {words.samples}{_labelled(material)}, {data.calibration_samples} "
        "calibration "
        f"{words.samples}, {plain(material.run.runtime)}; intervals: 95 %, paired bootstrap."
    )
    yield from _causes(material)
    if material.request is not None:
        fence = _fence(command := study_command(material.request))
        yield from (
            "",
            "<details><summary>Repeat it</summary>",
            "",
            fence + "sh",
            command,
            fence,
            "",
            "</details>",
        )


def _labelled(material: Material) -> str:
    words = material.words
    labels = material.study.data.facts.get(words.labels)
    return "" if labels is None else f" ({labels} {words.labels})"


def _ranking(material: Material) -> Iterator[str]:
    metric, baseline = material.metric, material.study.baseline
    columns = material.study.definition.columns
    titles = ("calibrator", metric.column, *columns.values(), "lost", "95 % interval")
    yield f"| | {' | '.join(titles)} |"
    yield f"|---|---|{'---:|' * (len(titles) - 1)}"
    figures = [
        shown(baseline.score.value, metric),
        *(shown(baseline.figures.get(name), metric) for name in columns),
    ]
    yield f"| | FP32 | {' | '.join(figures)} | | |"
    for other in material.study.other_floats:
        values = [other.score.value if other.score else None, *map(other.figures.get, columns)]
        lost = other.loss
        losses = [shown(lost.value, metric), interval(lost.low, lost.high, metric)] if lost else ["", ""]
        cells = [*(shown(value, metric) for value in values), *losses]
        yield f"| | {other.name.upper()} | {' | '.join(cells)} |"
    chosen = material.recommended
    for trial in material.measured:
        yield _row(trial, material, is_chosen=trial is chosen)
    for trial in (*material.stopped, *material.failed):
        yield f"| | {plain(trial.calibrator)} | {trial.status} |{' |' * (len(titles) - 2)}"


def _row(trial: Trial, material: Material, *, is_chosen: bool) -> str:
    name, metric, lost = plain(trial.calibrator), material.metric, trial.loss
    mark, name = ("→", f"**{name}**") if is_chosen else ("", name)
    figures = [
        shown(trial.value, metric),
        *(shown(trial.figures.get(column), metric) for column in material.study.definition.columns),
        shown(lost.value if lost else None, metric),
        interval(lost.low, lost.high, metric) if lost else "",
    ]
    return f"| {mark} | {name} | {' | '.join(figures)} |"


def _causes(material: Material) -> Iterator[str]:
    if material.diagnosis is None:
        return
    for cause in material.diagnosis.causes[:_CAUSES]:
        cost = f" ({material.metric.amount(cause.cost)})" if cause.cost is not None else ""
        yield from ("", f"- **{plain(cause.title)}**{cost}: {coded(cause.text)}")
        yield from (f"  - {coded(remedy.text)}" for remedy in cause.remedies)


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", text))


def coded(text: str) -> str:
    """Text with what stands between backticks as code, and the rest as it is."""
    parts = re.sub(r"\s+", " ", text).split("`")
    if len(parts) % 2 == 0:  # a lone backtick is none of ours
        return plain(text)
    return "".join(f"`{part}`" if position % 2 else plain(part) for position, part in enumerate(parts))


def _fence(text: str) -> str:
    """A fence that is longer than any run of backticks in the text."""
    return "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text) or [""]))
