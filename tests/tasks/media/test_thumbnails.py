"""Small copies of images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibrant.core.errors import ImageError
from calibrant.tasks.media.images import read_image
from calibrant.tasks.media.thumbnails import thumbnail


def drawn(path: Path, height: int, width: int) -> Path:
    cv2.imwrite(str(path), np.full((height, width, 3), (10, 120, 240), np.uint8))
    return path


@pytest.mark.parametrize(
    ("height", "width", "size"), [(480, 960, (100, 50)), (900, 30, (3, 100)), (40, 60, (60, 40))]
)
def test_it_fits_and_keeps_shape_and_colour(
    tmp_path: Path, height: int, width: int, size: tuple[int, int]
) -> None:
    made = thumbnail(drawn(tmp_path / "a.png", height, width), 100, 90)
    (tmp_path / "small.jpg").write_bytes(made.jpeg)
    pixels = read_image(tmp_path / "small.jpg")
    assert (made.width, made.height) == size == (pixels.shape[1], pixels.shape[0])
    assert made.scale == min(1.0, 100 / max(height, width))
    assert pixels.reshape(-1, 3).mean(axis=0) == pytest.approx((10, 120, 240), abs=4)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError):
        thumbnail(tmp_path / "a.jpg", 100, 90)
