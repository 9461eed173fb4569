"""The verdict: intervals that cover, ties that are said, a held-out figure that is not optimistic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.metrics import Loss, Metric, Score
from calibrant.stages.recommend import (
    PairedBootstrap,
    Recommendation,
    ScoredCandidate,
    recommend,
)


@dataclass(frozen=True)
class Means:
    """Evidence of a metric that is a mean over samples."""

    values: NDArray[np.float64]

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = (weights @ self.values) / weights.sum(axis=1)
        return means


LIKENESS = Metric("likeness", "mAP")


def candidate(
    name: str, values: NDArray[np.float64], simplicity: int = 0, metric: Metric = LIKENESS
) -> ScoredCandidate:
    return ScoredCandidate(name, simplicity, Score(metric, float(values.mean()), (), Means(values)))


def verdict(
    baseline: ScoredCandidate, *candidates: ScoredCandidate
) -> tuple[Recommendation, dict[str, Loss]]:
    bootstrap = PairedBootstrap(300)
    drops = {c.name: bootstrap.loss(baseline, c) for c in candidates}
    return recommend(baseline, candidates, drops, bootstrap), drops


RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(0.1, 0.6, 300)


def test_intervals_that_hold_together_are_wider_around_the_same_value() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("a", TRUTH - RNG.normal(0, 0.02, 300))
    bootstrap = PairedBootstrap(300, resamples=3000)
    alone, joint = bootstrap.loss(base, worse), bootstrap.loss(base, worse, together=12)
    assert joint.value == alone.value
    # A normal quantile of 1 - 0.025 / 12 is 1.46 times that of 0.975.
    assert (joint.high - joint.low) / (alone.high - alone.low) == pytest.approx(1.46, abs=0.12)


def test_a_drop_is_in_points_with_its_interval_around_it() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("a", TRUTH - 0.05 + RNG.normal(0, 0.02, 300))
    drop = PairedBootstrap(300).loss(base, worse)
    assert drop.value == pytest.approx(5, abs=0.5)
    assert drop.low < drop.value < drop.high
    assert drop.high - drop.low < 1
    assert drop.is_real


def test_pairing_cancels_what_all_candidates_share() -> None:
    base, shifted = candidate("fp32", TRUTH), candidate("a", TRUTH - 0.01)
    drop = PairedBootstrap(300).loss(base, shifted)
    assert (drop.low, drop.high) == pytest.approx((1, 1))


def test_the_interval_covers_the_true_drop_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        base = rng.uniform(0.2, 0.5, 100)
        worse = base - 0.02 + rng.normal(0, 0.1, 100)
        drop = PairedBootstrap(100, seed=int(rng.integers(2**31)), resamples=300).loss(
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
    base = ScoredCandidate("fp32", 0, Score(LIKENESS, float(TRUTH.mean()), (), Optimistic(Means(TRUTH))))
    other = ScoredCandidate("a", 0, Score(LIKENESS, float(worse.mean()), (), Optimistic(Means(worse))))
    drop = PairedBootstrap(300).loss(base, other)
    assert drop.value - drop.low == pytest.approx(drop.high - drop.value, rel=0.5)


def test_a_clear_winner_is_recommended_whatever_its_simplicity() -> None:
    base = candidate("fp32", TRUTH)
    found, _ = verdict(base, candidate("simple", TRUTH - 0.1, 0), candidate("intricate", TRUTH - 0.01, 9))
    assert found.calibrator == "intricate"
    assert found.tied == ()
    assert "significantly better" in found.reason


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
    assert "indistinguishable" in found.reason
    assert "bad" not in found.reason


def test_the_held_out_drop_is_free_of_the_winners_luck() -> None:
    """Ten candidates that differ by luck only: the best one's own drop flatters, the held-out one not."""
    own, held_out = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        lucky = [candidate(f"c{i}", TRUTH - 0.02 + rng.normal(0, 0.15, 300)) for i in range(10)]
        found, drops = verdict(candidate("fp32", TRUTH), *lucky)
        own.append(min(drop.value for drop in drops.values()))
        held_out.append(found.held_out_loss)
    assert np.mean(own) < 1
    assert np.mean(held_out) == pytest.approx(2, abs=0.5)


def test_the_same_seed_gives_the_same_interval() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("a", TRUTH + RNG.normal(0, 0.1, 300))
    assert PairedBootstrap(300, seed=5).loss(base, worse) == PairedBootstrap(300, seed=5).loss(base, worse)
    assert PairedBootstrap(300, seed=5).loss(base, worse) != PairedBootstrap(300, seed=6).loss(base, worse)


def test_calibrators_that_made_the_same_model_are_tied() -> None:
    base, worse = candidate("fp32", TRUTH), candidate("worse", TRUTH - 0.1, 9)
    found, _ = verdict(base, replace(candidate("simple", TRUTH), twins=("same",)), worse)
    assert (found.calibrator, found.tied) == ("simple", ("same",))
    assert "same made the very same model" in found.reason


def test_an_only_candidate_is_not_said_to_beat_others() -> None:
    found, _ = verdict(candidate("fp32", TRUTH), candidate("alone", TRUTH - 0.1))
    assert found.reason.endswith("the only candidate")


def test_a_gain_is_no_negative_loss() -> None:
    found, _ = verdict(candidate("fp32", TRUTH), candidate("better", TRUTH + 0.02))
    assert found.reason.startswith("it gains 2.0 points")


def test_the_best_one_may_be_preferred_to_the_simplest() -> None:
    base, noise = candidate("fp32", TRUTH), RNG.normal(0, 0.05, 300)
    noise -= noise.mean()
    level = (candidate("simple", TRUTH - 0.0101 + noise, 0), candidate("intricate", TRUTH - 0.01, 9))
    bootstrap = PairedBootstrap(300)
    losses = {c.name: bootstrap.loss(base, c) for c in level}
    found = recommend(base, level, losses, bootstrap, prefer="best")
    assert (found.calibrator, found.tied) == ("intricate", ("simple",))
    assert "it scores best" in found.reason


# --- a metric of which less is better, beyond one, and sometimes undefined ----------------------------

ERROR_RATE = Metric("wer", "WER", direction="minimize")


def test_of_an_error_rate_the_lowest_is_recommended() -> None:
    errors = TRUTH * 4
    base = candidate("fp32", errors, metric=ERROR_RATE)
    good = candidate("good", errors + 0.02, 9, ERROR_RATE)
    bad = candidate("bad", errors + 0.5 + RNG.normal(0, 0.1, 300), 0, ERROR_RATE)
    found, losses = verdict(base, good, bad)
    assert found.calibrator == "good"
    assert "significantly better" in found.reason
    assert found.reason.startswith("it loses 2.0 points of WER")
    assert losses["good"].value == pytest.approx(2)
    assert losses["bad"].value == pytest.approx(50, abs=5)
    assert found.held_out_loss == pytest.approx(2, abs=0.1)


def test_a_loss_without_a_value_is_no_number_and_no_error() -> None:
    base, other = candidate("fp32", TRUTH), candidate("a", np.full(300, np.nan))
    lost = PairedBootstrap(300).loss(base, other)
    assert np.isnan([lost.value, lost.low, lost.high]).all()
    assert not lost.is_real


def test_halves_on_which_a_candidate_is_undefined_do_not_choose_it() -> None:
    base, worse = candidate("fp32", TRUTH, metric=ERROR_RATE), candidate("a", TRUTH + 0.1, metric=ERROR_RATE)
    holes = TRUTH - 0.2
    holes[::2] = np.nan
    odd = ScoredCandidate("odd", 0, Score(ERROR_RATE, 0.1, (), Means(holes)))
    assert PairedBootstrap(300).held_out_loss(base, [odd, worse]) == pytest.approx(10, abs=0.1)
