"""Images and arrays."""

from __future__ import annotations

import io

import cv2
import numpy as np

from calibrant.tasks.detection import calibration_samples
from calibrant.tasks.media.images import check_image, image_size, read_image
from calibrant.tasks.media.samples import array_of
from targets.base import Target, refusals, scratch, spliced

_PIXELS = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(12, 9, 3)
_MOST_PIXELS = 1_000_000
_SUFFIXES = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm")


def _image(content: bytes) -> None:
    path = scratch("image") / "x.jpg"
    path.write_bytes(spliced(content, _encoded(".png")))
    size = header = None
    with refusals():
        size = image_size(path, _MOST_PIXELS)
        header = check_image(path, _MOST_PIXELS)
    with refusals():
        image = read_image(path, _MOST_PIXELS)
        assert header is not None, "an image was read whose header was refused"
        assert image.ndim == 3, image.shape
        assert size == (header.width, header.height)


def _array(content: bytes) -> None:
    for name, right in (("x.npy", _npy()), ("x.npz", _npz())):
        path = scratch("array") / name
        path.write_bytes(spliced(content, right))
        with refusals():
            for sample in calibration_samples(path):
                array = array_of(sample)
                assert array is not None
                assert array.dtype == np.float32


def _encoded(suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, _PIXELS)[1].tobytes())


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3, 2, 2), np.float32))
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros((3, 2, 2), np.float32))
    return stream.getvalue()


IMAGES = (
    Target("image", _image, lambda: [_encoded(suffix) for suffix in _SUFFIXES]),
    Target("arrays", _array, lambda: [_npy(), _npz()]),
)
