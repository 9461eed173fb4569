"""How images look: the same picture keeps its hash through files and sizes, others have another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import ImageError
from calibrant.stages.coverage.duplicates import near_pairs, near_pairs_within
from calibrant.tasks.media.appearance import SAME_PICTURE_BITS, Appearance, appearance_of

Image = NDArray[np.uint8]


def scene(seed: int) -> Image:
    """A picture of soft blobs, 240 x 320."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def look(folder: Path, image: Image, name: str = "a.png", **options: Any) -> Appearance:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, options["quality"]] if options else []
    written, data = cv2.imencode(Path(name).suffix, image, parameters)
    assert written
    (folder / name).write_bytes(data.tobytes())
    return appearance_of(folder / name)


def bits_between(first: Appearance, second: Appearance) -> int:
    return int(np.bitwise_count(first.hash ^ second.hash).sum())


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: image,
        lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda image: cv2.convertScaleAbs(image, alpha=0.7, beta=5),
        lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    ],
    ids=["as it is", "half the size", "darker", "grey"],
)
def test_the_same_picture_is_recognised(tmp_path: Path, changed: Callable[[Image], Image]) -> None:
    for seed in range(10):
        original = look(tmp_path, scene(seed))
        again = look(tmp_path, changed(scene(seed)), "b.jpg", quality=40)
        assert bits_between(original, again) <= SAME_PICTURE_BITS


def test_other_pictures_are_not(tmp_path: Path) -> None:
    hashes = np.stack([look(tmp_path, scene(seed)).hash for seed in range(40)])
    assert near_pairs_within(hashes, SAME_PICTURE_BITS) == []


def test_brightness_is_the_mean_grey_value_and_has_a_name(tmp_path: Path) -> None:
    flat = [np.full((20, 20, 3), value, np.uint8) for value in (0, 60, 128, 200, 255)]
    found = [look(tmp_path, image) for image in flat]
    assert [appearance.brightness for appearance in found] == [0, 60, 128, 200, 255]
    assert [appearance.band for appearance in found] == [
        "very dark",
        "dark",
        "medium",
        "bright",
        "very bright",
    ]


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"a\.jpg"):
        appearance_of(tmp_path / "a.jpg")


def test_photographs_of_coco_are_told_apart_and_recompressed_ones_found(shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "data" / "coco" / "val2017").glob("*.jpg"))[:40]
    hashes = np.stack([appearance_of(file).hash for file in files])
    assert near_pairs_within(hashes, SAME_PICTURE_BITS) == []
    for index, file in enumerate(files[:10]):
        image = np.asarray(cv2.imread(str(file)), np.uint8)
        again = look(tmp_path, image, "again.jpg", quality=35)
        assert [(i, j) for i, j, _ in near_pairs(again.hash[None], hashes, SAME_PICTURE_BITS)] == [(0, index)]
