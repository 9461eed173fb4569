from __future__ import annotations

import itertools

import numpy as np

from calibrant.demo import scene as scenes
from calibrant.demo.scene import Box, drawn_scene

SEEDS = range(40)


def test_characters_are_inside_the_image_and_apart() -> None:
    for seed in SEEDS:
        scene = drawn_scene(np.random.default_rng(seed))
        height, width = scene.image.shape[:2]
        assert 1 <= len(scene.boxes) <= 8
        for box in scene.boxes:
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.width <= width
            assert box.y + box.height <= height
        assert all(a.apart_from(b) for a, b in itertools.combinations(scene.boxes, 2))


def test_boxes_are_tight() -> None:
    """Painting on black changes each row and column of the box, and nothing outside of it."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        canvas = np.zeros((200, 300, 3), np.float32)
        mask = scenes._character(rng)
        box = scenes._free_place(rng, mask, canvas, [])
        assert box is not None
        scenes._paint(rng, canvas, mask, box)
        painted = np.argwhere(canvas.max(axis=2) > 8)
        assert painted.min(axis=0).tolist() == [box.y, box.x]
        assert (painted.max(axis=0) + 1).tolist() == [box.y + box.height, box.x + box.width]


def test_a_full_image_has_no_place_left() -> None:
    canvas = np.zeros((100, 100, 3), np.float32)
    mask = np.full((20, 20), 255, np.uint8)
    assert scenes._free_place(np.random.default_rng(0), mask, canvas, [Box(0, 0, 100, 100)]) is None


def test_characters_stand_out_from_what_is_behind() -> None:
    rng = np.random.default_rng(5)
    for behind in (0.0, 64.0, 128.0, 255.0):
        assert all(abs(scenes._visible_colour(rng, behind).mean() - behind) > 50 for _ in range(50))
