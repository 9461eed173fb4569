"""Points and distances, several of them in a cell."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.core.errors import ModelError
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.detection.decode.candidates import Frame, Wanted
from calibrant.tasks.detection.families import recognise
from calibrant.tasks.detection.profile import family_named

BOX = np.array([20.0, 30.0, 60.0, 90.0])
FRAME = Frame(96, 128)
LEVELS = ((8, 12, 16), (16, 6, 8), (32, 3, 4))


def test_scrfd_has_two_points_at_each_cells_corner() -> None:
    outputs = {}
    for stride, rows, columns in LEVELS:
        outputs[f"score_{stride}"] = np.zeros((2 * rows * columns, 1), np.float32)
    for stride, rows, columns in LEVELS:
        outputs[f"bbox_{stride}"] = np.ones((2 * rows * columns, 4), np.float32)
    for stride, rows, columns in LEVELS:
        outputs[f"kps_{stride}"] = np.zeros((2 * rows * columns, 10), np.float32)
    row, column, second = 3, 2, 1  # at stride 16
    index = (row * 8 + column) * 2 + second
    x, y = column * 16, row * 16
    outputs["score_16"][index] = 0.7
    outputs["bbox_16"][index] = np.array([x - BOX[0], y - BOX[1], BOX[2] - x, BOX[3] - y]) / 16
    found = family_named("scrfd").output.decoder.decode(outputs, FRAME, Wanted(0.1))
    np.testing.assert_allclose(found.boxes, [BOX], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.7])

    signature = ModelSignature(
        (TensorInfo("input.1", (1, 3, 96, 128), "float32"),),
        tuple(TensorInfo(name, array.shape, "float32") for name, array in outputs.items()),
        {},
        dict.fromkeys(outputs, ()),
    )
    recognised = recognise(signature)
    assert (recognised.profile.name, recognised.class_count) == ("scrfd", 1)


def test_other_numbers_of_points_are_refused() -> None:
    shapes = {"score": (100, 1), "bbox": (100, 4)}
    with pytest.raises(ModelError, match="reads scores and distances of 384 points"):
        family_named("scrfd").output.decoder.class_count(shapes, FRAME)
