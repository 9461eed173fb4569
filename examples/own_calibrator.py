"""Rank a calibrator of your own beside Calibrant's: a function from statistics to a range is enough.

Run it with the demo's detector: ``pip install "calibrant[demo]" && python examples/own_calibrator.py``.
For your own model, replace the three paths.
"""

from __future__ import annotations

import sys
from pathlib import Path

import calibrant
from calibrant.demo.model import demo_model
from calibrant.demo.render import render


def nine_tenths(stats: calibrant.TensorStatistics, _: calibrant.QuantSpec) -> calibrant.Range:
    """Clip the highest tenth of the range, whatever lies in it."""
    return calibrant.Range(-0.9 * stats.amax, 0.9 * stats.amax)


def main(folder: Path, images: int = 24) -> None:
    """Study the demo's detector with three calibrators, one of them ours."""
    data = render(folder / "images", test_images=images, calibration_images=8, seed=0)
    result = calibrant.study(
        demo_model(),
        data.calibration,
        data.dataset,
        out=folder / "run",
        calibrators=["minmax", "percentile:99.99", nine_tenths],
    )
    for trial in result.ranking:
        print(f"{trial.calibrator:<18} {trial.score.value if trial.score else trial.reason}")
    if result.recommended is not None:
        print(f"use {result.recommended.calibrator}: {result.recommended.reason}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own-calibrator"))
