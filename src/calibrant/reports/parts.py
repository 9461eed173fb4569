"""What each part of a model of several costs: the rows of a table, and what they come to in a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from calibrant.core.metrics import Loss, Metric
from calibrant.core.sizes import format_bytes
from calibrant.studies.pipelines.verdict import ALL_PARTS
from calibrant.studies.result import StudyResult

TITLES = (
    "part",
    "weights",
    "INT8 layers",
    "best",
    "lost alone",
    "95 % interval",
    "saved in float",
    "95 % interval",
)


def part_rows(result: StudyResult) -> Iterator[tuple[str, ...]]:
    """A row for each part, for their sum, and for all of them together, under :data:`TITLES`."""
    metric = result.metric
    for part in result.parts:
        yield (
            part.name,
            format_bytes(part.weights),
            str(part.quantized_nodes),
            part.chosen or "float",
            *_loss(part.loss, metric),
            *_loss(part.saved, metric),
        )
    weights = format_bytes(sum(part.weights for part in result.parts))
    yield ("sum", weights, "", "", metric.text(_sum(result)) if _losses(result) else "", "", "", "")
    trial = next((trial for trial in result.trials if trial.calibrator == ALL_PARTS), None)
    if trial is not None and trial.loss is not None:
        nodes = str(result.model.quantized_nodes)
        yield ("together", weights, nodes, "", *_loss(trial.loss, metric), "", "")


def parts_in_words(result: StudyResult) -> str:
    """Whether the sum of the parts' losses is the whole's, and which part to leave in float."""
    metric = result.metric
    trial = next((trial for trial in result.trials if trial.calibrator == ALL_PARTS), None)
    if trial is None or trial.loss is None or not _losses(result):
        return ""
    whole, added = trial.loss, _sum(result)
    same = whole.low <= added <= whole.high
    words = (
        f"Alone the parts lose {metric.amount(added)} in all, together {metric.amount(whole.value)} "
        f"({whole.interval(metric)}): the sum is {'within the interval' if same else 'not the whole'}."
    )
    saving = [(part, part.saved) for part in result.parts if part.saved is not None and part.saved.low > 0]
    if not saving:
        return f"{words} No part saves more than chance when it is left in float."
    part, saved = max(saving, key=lambda pair: pair[1].value)
    return (
        f"{words} Left in float, {part.name} saves {metric.amount(saved.value)} ({saved.interval(metric)}), "
        f"the most."
    )


def _losses(result: StudyResult) -> list[float]:
    return [part.loss.value for part in result.parts if part.loss is not None]


def _sum(result: StudyResult) -> float:
    return sum(_losses(result))


def _loss(loss: Loss | None, metric: Metric) -> tuple[str, str]:
    return ("", "") if loss is None else (metric.text(loss.value), loss.interval(metric))
