"""Fitted images that are kept: the same pixels, by content, whatever happens to the memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from calibrant.core.errors import ImageError
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.frames import fresh_frames, kept_frames
from calibrant.tasks.detection.preprocess import normalised, prepare
from calibrant.tasks.detection.profile import InputProfile
from calibrant.tasks.media.images import read_image

FRAME = Frame(48, 64)


class Memory(dict[tuple[str, str], bytes]):
    """A keeper in a dictionary."""

    def read(self, kind: str, key: str) -> bytes | None:
        return self.get((kind, key))

    def write(self, kind: str, key: str, content: bytes) -> None:
        self[kind, key] = content


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (30, 90, 3), np.uint8))
    return path


@pytest.mark.parametrize("interpolation", ["linear", "pillow"])
def test_what_is_found_again_is_what_was_fitted(image: Path, interpolation: str) -> None:
    profile, memory = InputProfile(interpolation=interpolation), Memory()  # type: ignore[arg-type]
    fresh, kept = fresh_frames(profile, FRAME), kept_frames(profile, FRAME, memory)
    for _ in range(2):
        pixels, where = kept(image)
        assert np.array_equal(pixels, fresh(image)[0])
        assert where == fresh(image)[1]
    assert len(memory) == 1
    tensor, _ = prepare(read_image(image), profile, FRAME.height, FRAME.width)
    assert np.array_equal(normalised(pixels, profile), tensor)


def test_the_content_decides_and_not_the_name(image: Path, tmp_path: Path) -> None:
    memory = Memory()
    kept = kept_frames(InputProfile(), FRAME, memory)
    kept(image)
    image.rename(tmp_path / "other.png")
    kept(tmp_path / "other.png")
    assert len(memory) == 1
    cv2.imwrite(str(image), np.zeros((30, 90, 3), np.uint8))
    assert not np.array_equal(kept(image)[0], kept(tmp_path / "other.png")[0])
    assert len(memory) == 2


def test_other_frames_and_profiles_are_other_entries(image: Path) -> None:
    memory = Memory()
    for profile, frame in (
        (InputProfile(), FRAME),
        (InputProfile(), Frame(64, 64)),
        (InputProfile(pad=0), FRAME),
    ):
        kept_frames(profile, frame, memory)(image)
    assert len(memory) == 3


def test_an_image_that_is_gone_or_damaged_is_an_error(image: Path) -> None:
    kept = kept_frames(InputProfile(), FRAME, Memory())
    image.write_bytes(image.read_bytes()[:100])
    with pytest.raises(ImageError, match=r"image\.png"):
        kept(image)
    image.unlink()
    with pytest.raises(ImageError, match=r"image\.png"):
        kept(image)
