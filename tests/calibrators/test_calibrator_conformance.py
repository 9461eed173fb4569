"""Every calibrator of the table fits in."""

from __future__ import annotations

import pytest

from calibrant.calibrators import CALIBRATORS, DEFAULT_CALIBRATORS, calibrator_named
from calibrant.testing import CalibratorConformance

NAMES = (*DEFAULT_CALIBRATORS, "percentile:100", "percentile:50", "legacy:1", "legacy:0.9")


class TestEveryCalibrator(CalibratorConformance):
    @pytest.fixture(autouse=True, params=NAMES)
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.calibrator = calibrator_named(request.param).calibrate


def test_the_whole_table_is_covered() -> None:
    assert {name.partition(":")[0] for name in NAMES} == set(CALIBRATORS)
