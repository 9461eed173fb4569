"""A large loss is told by what it was held against, whichever way the metric counts."""

from __future__ import annotations

import pytest

from calibrant.core.metrics import Loss, Metric
from calibrant.studies.verdict import _next


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        (Metric("map50_95", "mAP"), 0.3, "more than a tenth of the float model's 30.0 mAP"),
        (
            Metric("error", "output error", unit="%", direction="minimize"),
            0.0,
            "more than 10.0 %, a tenth of the scale of output error",
        ),
    ],
)
def test_what_a_lot_is_stands_beside_it(metric: Metric, value: float, words: str) -> None:
    assert words in _next(Loss(12.0, 11.0, 13.0), value, metric)[0]
    assert _next(Loss(1.0, 0.5, 1.5), value, metric) == ()
