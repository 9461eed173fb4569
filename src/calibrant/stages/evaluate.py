"""A model's score on labelled samples, as the deployed runtime computes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.core.progress import Progress, Silent
from calibrant.core.types import Runtime, Sample, Score, Task


@dataclass(frozen=True)
class Evaluation:
    """A score, the predictions behind it (one a sample, in order) and the wall time, seconds."""

    score: Score
    predictions: tuple[Any, ...]
    seconds: float


def evaluate(
    model: Path,
    task: Task,
    runtime: Runtime,
    samples: Sequence[Sample],
    title: str = "Evaluating",
    progress: Progress | None = None,
) -> Evaluation:
    """Run ``model`` on every sample and score what it predicts.

    Raises RuntimeFailedError when the runtime refuses the model.
    """
    started = time.perf_counter()
    predictions = []
    with (
        runtime.open(model) as session,
        (progress or Silent()).stage(title, len(samples)) as advance,
    ):
        for sample in samples:
            predictions.append(task.interpret(task.drive(session, sample), sample))
            advance()
    score = task.score(samples, predictions)
    return Evaluation(score, tuple(predictions), time.perf_counter() - started)
