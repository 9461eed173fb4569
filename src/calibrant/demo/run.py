"""The main job on a demo's own model and on samples drawn here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from calibrant import api
from calibrant.artifacts.store import require_writable
from calibrant.calibrators import DEFAULT_CALIBRATORS
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.demo import FIRST
from calibrant.demo.line_files import SYNTHETIC_LINES, render_lines
from calibrant.demo.model import DETECTOR, RECOGNIZER, VOICE, CarriedModel, demo_model
from calibrant.demo.render import SYNTHETIC, DemoData, render
from calibrant.demo.sentences import MADE_SENTENCES, write_sentences
from calibrant.studies.replacing import place_of_inputs, require_free
from calibrant.studies.result import StudyResult

Draw = Callable[[Path, int, int, int], DemoData]
"""(folder, test samples, calibration samples, seed) -> what was drawn there."""


@dataclass(frozen=True)
class Demo:
    """A model that a package carries, and how samples for it are drawn.

    note: what they are, for users. scheme: the rules of the target on which such models mostly run.
    """

    model: CarriedModel
    draw: Draw
    note: str
    test_samples: int
    calibration_samples: int = 32
    scheme: str = "tensorrt"


def _images(folder: Path, test: int, calibration: int, seed: int) -> DemoData:
    return render(folder, test_images=test, calibration_images=calibration, seed=seed)


def _lines(folder: Path, test: int, calibration: int, seed: int) -> DemoData:
    return render_lines(folder, test_lines=test, calibration_lines=calibration, seed=seed)


def _sentences(folder: Path, test: int, calibration: int, seed: int) -> DemoData:
    return write_sentences(folder, test=test, calibration=calibration, seed=seed)


_DEMOS: Mapping[str, Demo] = {
    FIRST: Demo(DETECTOR, _images, SYNTHETIC, test_samples=80),
    "speech": Demo(VOICE, _sentences, MADE_SENTENCES, test_samples=16, calibration_samples=8),
    "text": Demo(RECOGNIZER, _lines, SYNTHETIC_LINES, test_samples=120, scheme="onnxruntime"),
}


def run_demo(
    out: Path,
    kind: str = FIRST,
    *,
    test_samples: int | None = None,
    calibration_samples: int | None = None,
    calibrators: api.Calibrators = DEFAULT_CALIBRATORS,
    seed: int = 0,
    overwrite: bool = False,
    cache: bool = True,
    progress: Progress | None = None,
) -> StudyResult:
    """Draw labelled samples into ``out/images`` and study the demo's model on them, into ``out``.

    The samples of a run that is replaced stay, and the new ones lie in ``out/images-2``.
    kind: one of ``demo.KINDS`` but ``language``, which language.py has. test_samples, calibration_samples:
    None: as many as the demo is made for. Raises SettingsError when the model's package is absent, and
    OutputError.
    """
    listener = progress or Silent()
    if kind not in _DEMOS:
        raise SettingsError(f"there is no demo {kind!r}; known: {', '.join(_DEMOS)}")
    demo = _DEMOS[kind]
    model = demo_model(demo.model)
    require_free(out, None, overwrite)
    require_writable(out)
    listener.note(demo.note)
    counts = test_samples or demo.test_samples, calibration_samples or demo.calibration_samples
    data = demo.draw(place_of_inputs(out, "images"), *counts, seed)
    return api.study(
        model,
        data.calibration,
        data.dataset,
        out=out,
        calibrators=calibrators,
        scheme=demo.scheme,
        seed=seed,
        overwrite=overwrite,
        cache=cache,
        progress=listener,
    )
