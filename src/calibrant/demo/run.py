"""The main job on the demo's own detector and drawn images."""

from __future__ import annotations

from pathlib import Path

from calibrant import api
from calibrant.artifacts.store import require_writable
from calibrant.calibrators import DEFAULT_CALIBRATORS
from calibrant.core.progress import Progress, Silent
from calibrant.demo.model import demo_model
from calibrant.demo.render import SYNTHETIC, render
from calibrant.studies.replacing import require_free
from calibrant.studies.result import StudyResult

TEST_IMAGES = 80
CALIBRATION_IMAGES = 32


def run_demo(
    out: Path,
    *,
    test_images: int = TEST_IMAGES,
    calibration_images: int = CALIBRATION_IMAGES,
    calibrators: api.Calibrators = DEFAULT_CALIBRATORS,
    seed: int = 0,
    overwrite: bool = False,
    cache: bool = True,
    progress: Progress | None = None,
) -> StudyResult:
    """Draw labelled images into ``out/images`` and study the demo's detector on them, into ``out``.

    Raises SettingsError when the detector's package is absent, and OutputError.
    """
    listener = progress or Silent()
    model = demo_model()
    require_free(out, None, overwrite)
    require_writable(out)
    listener.note(SYNTHETIC)
    data = render(out / "images", test_images=test_images, calibration_images=calibration_images, seed=seed)
    return api.study(
        model,
        data.calibration,
        data.dataset,
        out=out,
        calibrators=calibrators,
        seed=seed,
        overwrite=overwrite,
        cache=cache,
        progress=listener,
    )
