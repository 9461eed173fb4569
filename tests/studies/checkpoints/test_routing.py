"""Experts that calibration did not reach are named, weighted by what the test set sends to them."""

from __future__ import annotations

import numpy as np

from calibrant.studies.checkpoints.routing import routing_of, routing_remark


def test_experts_that_nothing_or_little_reached_are_named() -> None:
    calibration = {"m": np.array([100, 0, 5, 95])}
    (found,) = routing_of(calibration, {"m": np.array([50, 20, 10, 20])})
    assert (found.unreached, found.hardly, found.test_share) == ((1,), (), 0.2)
    (found,) = routing_of({"m": np.array([100, 0, 4, 96])}, {"m": np.array([50, 20, 10, 20])})
    assert (found.unreached, found.hardly, found.test_share) == ((1,), (2,), 0.3)
    assert routing_remark((found,)) == (
        "30.0 % of the test tokens' experts were hardly reached in calibration, e.g. m.1; "
        "calibrate on texts like those of the test set"
    )


def test_even_calibration_is_no_remark() -> None:
    counts = {"m": np.array([30, 30, 40])}
    assert routing_remark(routing_of(counts, counts)) is None
    assert routing_remark(()) is None
