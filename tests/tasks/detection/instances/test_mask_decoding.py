"""Masks are made as Ultralytics' validator makes them at the image's own size; kept ones come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.instances.masks import Mask, Masks
from calibrant.tasks.detection.preprocess import placement
from calibrant.tasks.detection.profile import family_named


@pytest.mark.parametrize(("height", "width"), [(100, 120), (64, 64), (37, 150), (200, 80)])
def test_a_mask_is_the_enlarged_map_within_its_box(height: int, width: int) -> None:
    torch = pytest.importorskip("torch", reason="needs torch's interpolation: pip install calibrant[llm]")
    rng = np.random.default_rng(height)
    side = 64
    prototypes = rng.standard_normal((1, 8, 16, 16)).astype(np.float32)
    coefficients = rng.standard_normal((5, 8)).astype(np.float32)
    low = rng.uniform(0, 0.6, (5, 2)) * (width, height)
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.4, (5, 2)) * (width, height)], axis=1).astype(
        np.float32
    )
    where = placement(height, width, family_named("yolov8").input, side, side)
    found = Masks().shapes(coefficients, boxes, {"p": prototypes}, Frame(side, side), where)

    maps = torch.tensor(coefficients) @ torch.tensor(prototypes[0]).reshape(8, -1)
    maps = maps.reshape(5, 16, 16)
    gain = min(16 / height, 16 / width)
    aside, above = (16 - width * gain) / 2, (16 - height * gain) / 2
    left, top, right, bottom = (
        round(aside - 0.1), round(above - 0.1), 16 - round(aside + 0.1), 16 - round(above + 0.1),
    )  # fmt: skip
    cut = maps[:, top:bottom, left:right]
    large = torch.nn.functional.interpolate(cut[None], (height, width), mode="bilinear", align_corners=False)[
        0
    ]
    columns, rows = torch.arange(width)[None, None], torch.arange(height)[None, :, None]
    x1, y1, x2, y2 = torch.tensor(boxes)[:, :, None, None].unbind(1)
    inside = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
    expected = ((large * inside) > 0).numpy()
    for mask, whole in zip(found, expected, strict=True):
        assert np.count_nonzero(_whole(mask, height, width) != whole) <= 2  # a pixel at 0 but for rounding


def _whole(mask: Mask, height: int, width: int) -> Any:
    pixels = np.zeros((height, width), np.bool_)
    pixels[mask.top : mask.top + len(mask.bits), mask.left : mask.left + mask.width] = mask.pixels
    return pixels


def test_masks_come_back_from_what_is_kept() -> None:
    rng = np.random.default_rng(0)
    masks = [Mask.of(rng.random((h, w)) < 0.4, left, 2) for h, w, left in [(5, 9, 0), (1, 1, 3), (20, 33, 7)]]
    again = Masks().unpacked(Masks().packed(masks), len(masks))
    for one, other in zip(masks, again, strict=True):
        assert np.array_equal(_whole(one, 40, 60), _whole(other, 40, 60))
        assert one.area == other.area == one.shared(other)


def test_other_arrays_are_refused() -> None:
    arrays = dict(Masks().packed([Mask.of(np.ones((4, 4), np.bool_))]))
    for name in arrays:
        with pytest.raises(ValueError, match="masks"):
            Masks().unpacked({**arrays, name: arrays[name][:-1]}, 1)
