"""The verdict: intervals that cover, ties that are said, a held-out figure that is not optimistic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.stages.recommend import (
    Candidate,
    Drop,
    PairedBootstrap,
    Recommendation,
    change_in_words,
    recommend,
    shown,
)


@dataclass(frozen=True)
class Means:
    """Evidence of a metric that is a mean over samples."""

    values: NDArray[np.float64]

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = (weights @ self.values) / weights.sum(axis=1)
        return means


def candidate(name: str, values: NDArray[np.float64], simplicity: int = 0) -> Candidate:
    return Candidate(name, simplicity, float(values.mean()), Means(values))


def verdict(baseline: Candidate, *candidates: Candidate) -> tuple[Recommendation, dict[str, Drop]]:
    bootstrap = PairedBootstrap(300)
    drops = {c.name: bootstrap.drop(baseline, c) for c in candidates}
    return recommend(baseline, candidates, drops, bootstrap), drops


RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(0.1, 0.6, 300)


def test_a_drop_is_in_points_with_its_interval_around_it() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("a", TRUTH - 0.05 + RNG.normal(0, 0.02, 300))
    drop = PairedBootstrap(300).drop(base, worse)
    assert drop.points == pytest.approx(5, abs=0.5)
    assert drop.low < drop.points < drop.high
    assert drop.high - drop.low < 1
    assert drop.is_real


def test_pairing_cancels_what_all_candidates_share() -> None:
    base, shifted = candidate("fp32", TRUTH), candidate("a", TRUTH - 0.01)
    drop = PairedBootstrap(300).drop(base, shifted)
    assert (drop.low, drop.high) == pytest.approx((1, 1))


def test_the_interval_covers_the_true_drop_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        base = rng.uniform(0.2, 0.5, 100)
        worse = base - 0.02 + rng.normal(0, 0.1, 100)
        drop = PairedBootstrap(100, seed=int(rng.integers(2**31)), resamples=300).drop(
            candidate("fp32", base), candidate("a", worse)
        )
        covered += drop.low <= 2 <= drop.high
    assert 0.89 <= covered / 200 <= 0.99


@dataclass(frozen=True)
class Optimistic:
    """Evidence whose resamples exceed its value by a share of it, as mAP's do."""

    means: Means

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        return 1.3 * self.means.resample(weights)


def test_resamples_that_are_too_high_do_not_move_the_interval_off_the_drop() -> None:
    rng = np.random.default_rng(4)
    worse = TRUTH - 0.1 + rng.normal(0, 0.3, 300)
    base = Candidate("fp32", 0, float(TRUTH.mean()), Optimistic(Means(TRUTH)))
    other = Candidate("a", 0, float(worse.mean()), Optimistic(Means(worse)))
    drop = PairedBootstrap(300).drop(base, other)
    assert drop.points - drop.low == pytest.approx(drop.high - drop.points, rel=0.5)


def test_a_clear_winner_is_recommended_whatever_its_simplicity() -> None:
    base = candidate("fp32", TRUTH)
    found, _ = verdict(base, candidate("simple", TRUTH - 0.1, 0), candidate("intricate", TRUTH - 0.01, 9))
    assert found.calibrator == "intricate"
    assert found.tied == ()
    assert "beyond doubt" in found.reason


def test_a_tie_goes_to_the_simplest_and_is_said() -> None:
    base = candidate("fp32", TRUTH)
    noise = RNG.normal(0, 0.05, 300)
    noise -= noise.mean()
    found, _ = verdict(
        base,
        candidate("simple", TRUTH - 0.0101 + noise, 0),
        candidate("intricate", TRUTH - 0.01, 9),
        candidate("bad", TRUTH - 0.2, 1),
    )
    assert found.calibrator == "simple"
    assert found.tied == ("intricate",)
    assert "cannot be told" in found.reason
    assert "bad" not in found.reason


def test_the_held_out_drop_is_free_of_the_winners_luck() -> None:
    """Ten candidates that differ by luck only: the best one's own drop flatters, the held-out one not."""
    own, held_out = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        lucky = [candidate(f"c{i}", TRUTH - 0.02 + rng.normal(0, 0.15, 300)) for i in range(10)]
        found, drops = verdict(candidate("fp32", TRUTH), *lucky)
        own.append(min(drop.points for drop in drops.values()))
        held_out.append(found.held_out_drop)
    assert np.mean(own) < 1
    assert np.mean(held_out) == pytest.approx(2, abs=0.5)


def test_the_same_seed_gives_the_same_interval() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("a", TRUTH + RNG.normal(0, 0.1, 300))
    assert PairedBootstrap(300, seed=5).drop(base, worse) == PairedBootstrap(300, seed=5).drop(base, worse)
    assert PairedBootstrap(300, seed=5).drop(base, worse) != PairedBootstrap(300, seed=6).drop(base, worse)


def test_calibrators_that_made_the_same_model_are_tied() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("worse", TRUTH - 0.1, 9)
    found, _ = verdict(base, replace(candidate("simple", TRUTH), twins=("same",)), worse)
    assert (found.calibrator, found.tied) == ("simple", ("same",))
    assert "same cannot be told from it" in found.reason


def test_an_only_candidate_is_not_said_to_beat_others() -> None:
    found, _ = verdict(candidate("fp32", TRUTH), candidate("alone", TRUTH - 0.1))
    assert found.reason.endswith("the only candidate")


def test_a_gain_is_no_negative_loss() -> None:
    found, _ = verdict(candidate("fp32", TRUTH), candidate("better", TRUTH + 0.02))
    assert found.reason.startswith("it gains 2.0 points")


@pytest.mark.parametrize(
    ("points", "text"), [(-0.04, "0.0"), (0.05, "0.1"), (-0.06, "-0.1"), (31.72, "31.7")]
)
def test_points_have_one_decimal_and_no_negative_zero(points: float, text: str) -> None:
    assert shown(points) == text


@pytest.mark.parametrize(
    ("drop", "words"), [(0.74, "loses 0.7 points"), (0.0, "loses 0.0 points"), (-0.26, "gains 0.3 points")]
)
def test_a_drop_below_zero_is_a_gain(drop: float, words: str) -> None:
    assert change_in_words(drop) == words
