"""The summary of a run in Markdown, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from calibrant.reports.material import Material
from calibrant.reports.verdict import headline, verdict
from calibrant.reports.words import interval, points, repeat_command

_CAUSES = 5
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~@$&])")


def markdown_summary(material: Material) -> str:
    """Verdict, ranking, causes and the command to repeat it, in GitHub's Markdown.

    Names from files are escaped, so that they can neither format the text nor mention anybody.
    """
    return "\n".join(_lines(material)) + "\n"


def _lines(material: Material) -> Iterator[str]:
    data = material.study["data"]
    yield f"### {plain(material.model_name)}: {plain(headline(material))}"
    yield ""
    for sentence in verdict(material):
        yield from (coded(sentence), "")
    yield from _ranking(material)
    yield ""
    yield (
        f"{data['test_images']} test images ({data['test_boxes']} boxes), {data['calibration_images']} "
        f"calibration images, {plain(material.run.runtime)}; intervals: 95 %, paired bootstrap."
    )
    yield from _causes(material)
    if material.request is not None:
        fence = _fence(command := repeat_command(material.request))
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


def _ranking(material: Material) -> Iterator[str]:
    yield "| | calibrator | mAP50-95 | mAP50 | lost | 95 % interval |"
    yield "|---|---|---:|---:|---:|---:|"
    baseline = material.study["baseline"]
    yield f"| | FP32 | {points(baseline['map50_95'])} | {points(baseline['map50'])} | | |"
    chosen = material.recommended
    for trial in material.measured:
        yield _row(trial, is_chosen=trial is chosen)
    for trial in (*material.stopped, *material.failed):
        yield f"| | {plain(trial['calibrator'])} | {trial['status']} | | | |"


def _row(trial: Mapping[str, Any], *, is_chosen: bool) -> str:
    name = plain(trial["calibrator"])
    mark, name = ("→", f"**{name}**") if is_chosen else ("", name)
    figures = (points(trial["map50_95"]), points(trial["map50"]), points(trial["drop"]))
    return f"| {mark} | {name} | {' | '.join(figures)} | {interval(*trial['drop_ci95'])} |"


def _causes(material: Material) -> Iterator[str]:
    if material.diagnosis is None:
        return
    for cause in material.diagnosis.causes[:_CAUSES]:
        cost = f" ({points(cause.cost)} points)" if cause.cost is not None else ""
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
