"""Racing: equals are never parted, the beaten go early, and the winner hardly ever."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.metrics import Metric
from calibrant.stages.race import FIRST_LOOK, Race, looks, shuffled

LIKENESS, ERROR_RATE = Metric("likeness"), Metric("wer", direction="minimize")


@dataclass(frozen=True)
class Means:
    """Evidence of a metric that is a mean over samples."""

    values: NDArray[np.float64]

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = (weights @ self.values) / weights.sum(axis=1)
        return means


@pytest.mark.parametrize(
    ("samples", "expected"), [(0, ()), (30, ()), (34, (25,)), (300, (25, 50, 100, 200)), (266, (25, 50, 100))]
)
def test_candidates_are_compared_while_that_can_save_something(
    samples: int, expected: tuple[int, ...]
) -> None:
    assert looks(samples) == expected


def test_the_order_is_random_and_the_seeds() -> None:
    assert sorted(shuffled(100, 1)) == list(range(100))
    assert shuffled(100, 1) == shuffled(100, 1) != shuffled(100, 2)
    assert shuffled(100, 1) != tuple(range(100))


def test_a_lead_is_in_points_and_what_is_equal_has_none() -> None:
    values = np.random.default_rng(0).uniform(size=50)
    race = Race(2, 300, 0.01, 0, LIKENESS)
    assert not race.lead(Means(values), Means(values), 50).is_significant
    lead = race.lead(Means(values), Means(values - 0.1), 50)
    assert (lead.loss, lead.at_least) == pytest.approx((10, 10))
    assert lead.is_significant


def test_more_candidates_and_less_error_need_a_larger_lead() -> None:
    rng = np.random.default_rng(1)
    first, other = Means(rng.uniform(size=50)), Means(rng.uniform(size=50) - 0.3)
    at_least = [
        Race(candidates, 300, error, 0, LIKENESS).lead(first, other, 50).at_least
        for candidates, error in ((2, 0.05), (2, 0.01), (8, 0.01))
    ]
    assert at_least == sorted(at_least, reverse=True)
    assert len(set(at_least)) == 3


def test_the_winner_of_equals_is_dropped_less_often_than_the_error_allows() -> None:
    rng, dropped, replays, samples = np.random.default_rng(2), 0, 300, 120
    for replay in range(replays):
        hard = rng.uniform(size=samples)
        values = [np.clip(hard + rng.normal(0, 0.2, samples), 0, 1) for _ in range(4)]
        winner = int(np.argmax([each.mean() for each in values]))
        race = Race(len(values), samples, 0.05, replay, LIKENESS)
        dropped += any(
            race.lead(Means(other[:count]), Means(values[winner][:count]), count).is_significant
            for count in looks(samples)
            for other in values
        )
    assert dropped <= 0.05 * replays


def test_who_is_far_behind_goes_at_the_first_look() -> None:
    rng = np.random.default_rng(3)
    best = rng.uniform(0.4, 0.6, FIRST_LOOK)
    far = best - 0.3 + rng.normal(0, 0.1, FIRST_LOOK)
    assert Race(8, 300, 0.01, 0, LIKENESS).lead(Means(best), Means(far), FIRST_LOOK).is_significant


def test_of_an_error_rate_the_higher_one_goes() -> None:
    rng = np.random.default_rng(3)
    best = rng.uniform(1.4, 1.6, FIRST_LOOK)
    far = Means(best + 0.9 + rng.normal(0, 0.1, FIRST_LOOK))
    race = Race(8, 300, 0.01, 0, ERROR_RATE)
    assert race.lead(Means(best), far, FIRST_LOOK).is_significant
    assert not race.lead(far, Means(best), FIRST_LOOK).is_significant


def test_who_is_mostly_undefined_is_not_dropped() -> None:
    undefined = Means(np.full(FIRST_LOOK, np.nan))
    race = Race(2, 300, 0.01, 0, LIKENESS)
    assert not race.lead(Means(np.ones(FIRST_LOOK)), undefined, FIRST_LOOK).is_significant
