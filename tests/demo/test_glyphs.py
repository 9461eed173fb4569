from __future__ import annotations

import numpy as np
import pytest

from calibrant.demo.glyphs import CHARACTERS, FACES, cropped, rotated


@pytest.mark.parametrize("face", FACES, ids=range(len(FACES)))
def test_every_face_draws_every_character_at_about_the_size_asked_for(face: object) -> None:
    assert callable(face)
    heights = {character: face(character, 40).shape[0] for character in CHARACTERS}
    assert 20 <= np.median(list(heights.values())) <= 44
    assert min(heights.values()) >= 10
    assert max(heights.values()) <= 60


def test_faces_differ() -> None:
    drawn = {face("R", 48).tobytes() for face in FACES}
    assert len(drawn) == len(FACES)


def test_cropping_leaves_no_empty_border() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 7:18] = 255
    assert cropped(mask).shape == (4, 11)


def test_a_quarter_turn_swaps_the_sides() -> None:
    bar = np.full((10, 40), 255, np.uint8)
    height, width = rotated(bar, 90).shape
    assert abs(height - 40) <= 1
    assert abs(width - 10) <= 1


def test_turning_keeps_the_ink() -> None:
    mask = FACES[0]("E", 48)
    turned = rotated(mask, 33)
    assert turned.sum() == pytest.approx(mask.sum(), rel=0.03)
