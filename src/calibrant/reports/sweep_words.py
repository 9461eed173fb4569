"""A sweep's answer in words."""

from __future__ import annotations

from calibrant.reports.words import points
from calibrant.studies.sweep.result import SweepResult


def sweep_headline(result: SweepResult) -> str:
    """Which calibrator is recommended most often, in a few words."""
    winners = sorted(result.calibrators, key=lambda summary: -summary.recommended)
    if not winners or not winners[0].recommended:
        return "No run came to a recommendation"
    done = sum(row.recommended is not None for row in result.rows)
    first = winners[0]
    if first.recommended == done:
        return f"{first.calibrator} in all {done} runs" if done > 1 else f"{first.calibrator} in the one run"
    return f"{first.calibrator} in {first.recommended} of {done} runs"


def sweep_verdict(result: SweepResult) -> tuple[str, ...]:
    """How far one calibrator for all would do, and what failed; in at most two sentences."""
    done = [row for row in result.rows if row.recommended is not None]
    sentences = []
    everywhere = [
        summary
        for summary in result.calibrators
        if summary.worst_drop is not None and summary.runs == len(done) and not summary.failed
    ]
    if everywhere and len(done) > 1:
        best = min(everywhere, key=lambda summary: summary.worst_drop or 0.0)
        sentences.append(
            f"If one calibrator had to do for all, `{best.calibrator}` loses least where it loses most: "
            f"{points(best.worst_drop)} points, in `{best.worst_run}`."
        )
    if result.failed:
        sentences.append(f"{len(result.failed)} of {len(result.rows)} runs failed; each row says why.")
    return tuple(sentences)
