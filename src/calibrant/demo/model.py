"""Where the demo's detector lies. The package that carries it is found, never imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from calibrant.core.errors import SettingsError

_PACKAGE = "ddddocr"
_FILE = "common_det.onnx"


def demo_model() -> Path:
    """Give the ONNX file of the demo's detector: one class, YOLOX layout, input 1x3x416x416.

    Raises SettingsError when the package that carries it is not installed, or does not hold it.
    """
    spec = find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / _FILE
        if file.is_file():
            return file
    raise SettingsError(
        f'the demo needs a detector, e.g. {_FILE} of the package {_PACKAGE}; pip install "calibrant[demo]"'
    )
