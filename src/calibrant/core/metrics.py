"""What a task measures: a metric with its direction, a score, and what is lost against another model.

A value is in the metric's own numbers (accuracy and mAP 0..1, CER 0 and above, KL in nats); what people and
files are shown is ``scale`` times it, in ``unit``. Which direction is better is known here and nowhere
else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

IntArray: TypeAlias = NDArray[np.int64]
Number = TypeVar("Number", float, NDArray[np.float64])

MAXIMIZE: Literal["maximize"] = "maximize"
MINIMIZE: Literal["minimize"] = "minimize"

A_LOT = 0.1
"""Share of the float model's metric (of what it has right, or of what it has wrong) that is a lot to lose."""

_EXACT_DECIMALS = 3
"""Files hold so many more decimals than people are shown."""


@dataclass(frozen=True)
class Metric:
    """What is measured, and how it is told.

    name: a lower-case identifier, as files hold it. title: as sentences say it, e.g. "mAP"; empty: the name.
    heading: as tables say it, e.g. "mAP50-95"; empty: the title.
    unit: of what is shown, e.g. "points". direction: "maximize" or "minimize". scale: shown = scale * value.
    decimals: that people are shown. floor: the value beyond which a float model is too bad to be compared
    with (below it, or above it where less is better); None: any that is a number will do. span: the whole of
    which a tenth is a lot to lose; None: the float model's own value, or the whole scale where less is
    better.
    """

    name: str
    title: str = ""
    heading: str = ""
    unit: str = "points"
    direction: Literal["maximize", "minimize"] = MAXIMIZE
    scale: float = 100.0
    decimals: int = 1
    floor: float | None = None
    span: float | None = None

    @property
    def words(self) -> str:
        """How sentences name it."""
        return self.title or self.name

    @property
    def column(self) -> str:
        """How tables name it."""
        return self.heading or self.words

    def in_unit(self, value: float) -> float:
        """A value as people read it, in ``unit``."""
        return self.scale * value

    def stored(self, value: float) -> float | None:
        """A value as files hold it, in ``unit``; None where it is undefined."""
        return self.rounded(self.in_unit(value)) if math.isfinite(value) else None

    def rounded(self, shown: float) -> float:
        """What is shown, as exactly as files hold it."""
        return round(shown, self.decimals + _EXACT_DECIMALS)

    def text(self, shown: float | None) -> str:
        """What is shown, in digits, and no -0.0; "undefined" for none."""
        if shown is None or math.isnan(shown):
            return "undefined"
        return f"{round(shown, self.decimals) + 0.0:.{self.decimals}f}"

    def amount(self, shown: float) -> str:
        """A difference with its unit, e.g. "0.7 points"."""
        return " ".join(filter(None, [self.text(shown), self.unit]))

    def change(self, lost: float) -> str:
        """A loss, as shown, as what a model does: "loses 0.7 points", "gains 0.2 points"."""
        return f"loses {self.amount(lost)}" if not lost < 0 else f"gains {self.amount(-lost)}"

    def is_usable(self, value: float) -> bool:
        """Whether a float model with this value can be compared with."""
        if not math.isfinite(value):
            return False
        return self.floor is None or loss(self.floor, value, self) <= 0

    def whole(self, reference: float) -> float:
        """What a model would lose, as shown, that has nothing right where this one has ``reference``.

        Where less is better there is no such end: it follows from ``span``, or from the whole scale.
        """
        if self.span is not None:
            return abs(self.in_unit(self.span))
        return abs(self.in_unit(reference)) if self.direction == MAXIMIZE else abs(self.scale)

    def a_lot(self, reference: float) -> float:
        """The loss, as shown, from which on it is a lot for a float model of this value."""
        return A_LOT * self.whole(reference)


def loss(reference: Number, other: Number, metric: Metric) -> Number:
    """What ``other`` loses against ``reference`` (values), as shown; above zero it is worse."""
    if metric.direction == MINIMIZE:
        return metric.scale * (other - reference)
    return metric.scale * (reference - other)


def badness(value: float, metric: Metric) -> float:
    """A key that puts values in order, the best first and what is undefined last."""
    if math.isnan(value):
        return math.inf
    return value if metric.direction == MINIMIZE else -value


@dataclass(frozen=True)
class Figure:
    """Something that a task tells beside its metric: ``value`` as shown, in ``unit``; None: undefined."""

    name: str
    value: float | None
    unit: str = "points"


class Evidence(Protocol):
    """What is kept of every sample so that a task's metric can be computed again under any weighting."""

    def resample(self, weights: IntArray) -> NDArray[np.float64]:
        """Give the metric's value for each row of ``weights``.

        ``weights`` has shape (R, N): how often each of the N samples counts in each of R resamples, in
        the order of the samples. Returns shape (R,); nan where it is undefined.
        """
        ...


@runtime_checkable
class StorableEvidence(Evidence, Protocol):
    """Evidence that can be kept in a file."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name."""
        ...


@dataclass(frozen=True)
class Score:
    """A task's verdict on one model: the metric's value (nan: undefined), and what else it tells."""

    metric: Metric
    value: float
    figures: tuple[Figure, ...]
    evidence: Evidence

    def figure(self, name: str) -> float | None:
        """One of the figures, as shown; None where it is undefined or not among them."""
        return next((figure.value for figure in self.figures if figure.name == name), None)

    @property
    def badness(self) -> float:
        """A key that puts scores of one metric in order, the best first and what is undefined last."""
        return badness(self.value, self.metric)


@dataclass(frozen=True)
class Loss:
    """What is lost against another model, as shown in the metric's unit, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def interval(self, metric: Metric) -> str:
        """The interval in digits, e.g. "0.2 to 1.4"."""
        return f"{metric.text(self.low)} to {metric.text(self.high)}"
