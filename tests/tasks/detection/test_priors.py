"""Prior boxes, worked out here by loops as the models' own code does it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.types import FloatArray
from calibrant.tasks.detection.decode.candidates import Frame, Wanted
from calibrant.tasks.detection.decode.priors import PriorBoxes
from calibrant.tasks.detection.profile import family_named

BOX = np.array([20.0, 30.0, 60.0, 90.0])
CENTRE, SIZE = (BOX[:2] + BOX[2:]) / 2, BOX[2:] - BOX[:2]
WANTED = Wanted(0.3)


def decoder_of(family: str) -> PriorBoxes:
    decoder = family_named(family).output.decoder
    assert isinstance(decoder, PriorBoxes)
    return decoder


def priors_by_loops(levels: list[tuple[int, int, int, list[int]]]) -> NDArray[np.float64]:
    """Centre x, y and side of each prior; levels: rows, columns, stride and sides."""
    return np.array(
        [
            [(column + 0.5) * stride, (row + 0.5) * stride, side]
            for rows, columns, stride, sides in levels
            for row, column in product(range(rows), range(columns))
            for side in sides
        ]
    )


def encoded(prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSD's encoding of the box with variances 0.1 and 0.2."""
    return np.concatenate([(CENTRE - prior[:2]) / prior[2] / 0.1, np.log(SIZE / prior[2]) / 0.2])


def test_yunet_scores_by_the_root_of_two() -> None:
    rows = 1076
    priors = priors_by_loops(
        [(15, 20, 8, [10, 16, 24]), (7, 10, 16, [32, 48]), (3, 5, 32, [64, 96]), (1, 2, 64, [128, 192, 256])]
    )
    assert len(priors) == rows
    loc, conf, iou = np.zeros((rows, 14)), np.tile([1.0, 0.0], (rows, 1)), np.zeros((rows, 1))
    loc[1000, :4], conf[1000], iou[1000] = encoded(priors[1000]), [0.19, 0.81], 1.5  # iou is cut at 1
    outputs = {name: array.astype(np.float32) for name, array in (("loc", loc), ("conf", conf), ("iou", iou))}
    found = decoder_of("yunet").decode(outputs, Frame(120, 160), WANTED)
    np.testing.assert_allclose(found.boxes, [BOX], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)
    assert found.classes.tolist() == [0]


def test_retinaface_has_two_sizes_a_cell() -> None:
    priors = priors_by_loops([(12, 16, 8, [16, 32]), (6, 8, 16, [64, 128]), (3, 4, 32, [256, 512])])
    loc = np.zeros((1, len(priors), 4), np.float32)
    conf = np.tile(np.array([1, 0], np.float32), (1, len(priors), 1))
    loc[0, 400], conf[0, 400] = encoded(priors[400]), [0.25, 0.75]
    outputs = {"bbox": loc, "confidence": conf, "landmark": np.zeros((1, len(priors), 10), np.float32)}
    decoder = PriorBoxes((8, 16, 32), ((16, 32), (64, 128), (256, 512)), background="first")
    found = decoder.decode({name: outputs[name] for name in ("bbox", "confidence")}, Frame(96, 128), WANTED)
    np.testing.assert_allclose(found.boxes, [BOX], rtol=1e-4)
    np.testing.assert_allclose(found.scores, [0.75])
    assert decoder_of("retinaface").class_count({n: a.shape for n, a in outputs.items()}, Frame(96, 128)) == 1
    landmarks = decoder_of("retinaface").decode(outputs, Frame(96, 128), WANTED)
    np.testing.assert_array_equal(landmarks.boxes, found.boxes)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_blazeface_gives_pixels_at_two_strides_in_any_order(order: tuple[int, ...]) -> None:
    fine, coarse = np.zeros((1, 512, 16), np.float32), np.zeros((1, 384, 16), np.float32)
    few, many = np.full((1, 384, 1), -90, np.float32), np.full((1, 512, 1), -90, np.float32)
    row, column, which = 5, 2, 3  # of 8 x 8 cells of stride 16, six priors each
    index = (row * 8 + column) * 6 + which
    coarse[0, index, :4] = [*(CENTRE - [(column + 0.5) * 16, (row + 0.5) * 16]), *SIZE]
    few[0, index] = np.log(0.8 / 0.2)
    arrays: list[FloatArray] = [many, few, fine, coarse]
    outputs = {f"out{index}": arrays[index] for index in order}
    found = decoder_of("blazeface").decode(outputs, Frame(128, 128), WANTED)
    np.testing.assert_allclose(found.boxes, [BOX], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.8], rtol=1e-5)


def test_other_numbers_of_priors_are_refused() -> None:
    shapes = {"loc": (1000, 14), "conf": (1000, 2), "iou": (1000, 1)}
    with pytest.raises(ModelError, match=r"reads 1076 prior boxes, but the outputs are loc 1000x14"):
        decoder_of("yunet").class_count(shapes, Frame(120, 160))
