"""A sweep's answer in words."""

from __future__ import annotations

from collections.abc import Sequence

from calibrant.reports.words import listed
from calibrant.studies.sweep.result import Row, SweepResult

_AXES = {"model": "model", "data set": "dataset", "scheme": "scheme", "runtime": "runtime"}


def telling_axes(rows: Sequence[Row]) -> dict[str, str]:
    """Title and field of the model, and of each other axis on which rows differ."""
    return {
        title: field
        for title, field in _AXES.items()
        if field == "model" or len({getattr(row, field) for row in rows}) > 1
    }


def sweep_headline(result: SweepResult) -> str:
    """Which calibrator is recommended most often, in a few words."""
    most = max((summary.recommended for summary in result.calibrators), default=0)
    if not most:
        return "No run came to a recommendation"
    names = listed([summary.calibrator for summary in result.calibrators if summary.recommended == most])
    done = sum(row.recommended is not None for row in result.rows)
    if most == done:
        return f"{names} in all {done} runs" if done > 1 else f"{names} in the one run"
    return f"{names} in {most} of {done} runs{' each' if 2 * most <= done and ' and ' in names else ''}"


def sweep_verdict(result: SweepResult) -> tuple[str, ...]:
    """How far one calibrator for all would do, and what failed; in at most two sentences."""
    done = [row for row in result.rows if row.recommended is not None]
    sentences = []
    everywhere = [
        summary
        for summary in result.calibrators
        if summary.worst_loss is not None and summary.runs == len(done) and not summary.failed
    ]
    if everywhere and len(done) > 1 and len({summary.metric for summary in everywhere}) == 1:
        best = min(everywhere, key=lambda summary: summary.worst_loss or 0.0)
        sentences.append(
            f"If one calibrator had to do for all, `{best.calibrator}` loses least where it loses most: "
            f"{best.metric.amount(best.worst_loss or 0.0)}, in `{best.worst_run}`."
        )
    if result.failed:
        sentences.append(f"{len(result.failed)} of {len(result.rows)} runs failed; each row says why.")
    return tuple(sentences)
