"""What samples are, whatever they are called and wherever they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress

from calibrant.tasks.media.images import image_bytes
from calibrant.tasks.media.samples import ImageSample, array_of


def contents_sha256(samples: Iterable[ImageSample]) -> str:
    """A hash of the contents of samples' files or arrays, in order.

    A file that cannot be read counts as empty: running it says what is wrong.
    """
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(content_digest(sample))
    return digest.hexdigest()


def content_digest(sample: ImageSample) -> bytes:
    """A SHA-256 of a sample's file or array; a file that cannot be read counts as empty."""
    array = array_of(sample)
    if array is not None:
        described = f"{array.dtype.str} {array.shape} ".encode()
        return hashlib.sha256(described + array.tobytes()).digest()
    content = b""
    if sample.path is not None:
        with suppress(OSError):
            content = image_bytes(sample.path)
    return hashlib.sha256(content).digest()
