"""Images read as training pipelines read them, and never half: what is damaged is an error.

OpenCV decodes, as it does under most training code. It fills the missing part of a truncated JPEG with
grey and only mutters about it, so files are checked for completeness first. Pillow reads the headers:
size, format and orientation, without decoding.

Damaged bytes inside a JPEG are told by libjpeg's warnings, which OpenCV drops: simplejpeg, the same
libjpeg-turbo, gives them. It decodes plain JPEGs in OpenCV's place, to the same bits and as fast. Compressed
TIFFs are decoded by Pillow as well, which raises what OpenCV only logs. Damage inside WebP, JPEG 2000 and
files without compression cannot be seen: they hold no checksum, and every byte means something.
"""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from calibrant.core.errors import ImageError
from calibrant.core.limits import limit_from
from calibrant.core.reading import opened, read_bytes

MAX_PIXELS: Final = 178_956_970
"""Above this Pillow, and so Calibrant, takes a file for a decompression bomb."""

PIXEL_LIMIT: Final = "CALIBRANT_MAX_PIXELS"
"""The environment variable that sets another limit; OpenCV's own, 2**30, stays."""

IMAGE_SUFFIXES: Final = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"}
    | {".pjp", ".pjpeg", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

VIDEO_SUFFIXES: Final = frozenset(
    {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
)

FRAMES_OF_VIDEO: Final = "give images: save frames of it first, e.g. ffmpeg -i VIDEO -vf fps=1 %06d.png"

_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000", "PPM", "AVIF")
_MASK_FORMATS: Final = ("PNG", "BMP", "TIFF")
_NUMBERED: Final = frozenset({"P", "L", "1", "I", "I;16", "I;16B"})
_OPENCV_ROTATES_WEBP: Final = tuple(int(part) for part in cv2.__version__.split(".")[:2]) >= (4, 13)
# TIFF is not among them, as Pillow gives its size after rotation.
_ROTATED_BY_OPENCV: Final = {"JPEG", "MPO", "PNG"} | ({"WEBP"} if _OPENCV_ROTATES_WEBP else set())
_ORIENTATION: Final = 0x0112
_SIDEWAYS: Final = frozenset({5, 6, 7, 8})
_JPEG_END: Final = b"\xff\xd9"
_JPEG_START_OF_SCAN: Final = 0xDA
_JPEG_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEGS: Final = frozenset({"JPEG", "MPO"})
_EXIF: Final = b"Exif\0\0"
_SMALLEST: Final[Mapping[str, Any]] = {"min_height": 1, "min_width": 1}
"""An eighth of the size: the whole file is read, but few pixels are computed."""
_LIBJPEG_DAMAGE: Final = ("Corrupt JPEG data", "Premature end of JPEG file")
_AT_ONCE: Final = 2**20
_TIFF_COMPRESSION, _TIFF_JPEG, _TIFF_JPEG_TABLES = 259, 7, 347
_TIFF_DEFLATE: Final = frozenset({8, 32946})
_TIFF_PARTS: Final = ((273, 279), (324, 325))
"""The tags of offsets and lengths: of strips, of tiles."""


class ImageFile(Protocol):
    """An encoded image: a path, or a member of an archive, which messages name by its ``str``."""

    def read_bytes(self) -> bytes:
        """The file's content. Raises OSError."""
        ...


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of its image; ``width`` and ``height`` are pixels after EXIF rotation."""

    format: str
    width: int
    height: int


def read_image(path: ImageFile, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Decode an image to uint8 (H, W, 3), blue first.

    As ``cv2.imread(path, IMREAD_COLOR)`` does: grey becomes three equal channels, 16 bits become 8, CMYK
    becomes BGR, alpha is dropped, EXIF orientation is applied. The suffix of the name does not matter.
    Raises ImageError, which names the file, for what is missing, empty, no image, truncated, damaged, or
    larger than ``max_pixels`` (default: :func:`pixel_limit`); the size is checked before decoding.
    """
    data = _bytes_of(path)
    header = _check_complete(path, io.BytesIO(data), max_pixels or pixel_limit())
    image = _decoded_jpeg(path, data) if header.format in _JPEGS else _decoded(data)
    if image is None:
        raise _damaged(path, "cannot be decoded")
    if header.format == "TIFF":
        _require_sound_tiff(path, data)
    return image


def read_numbers(path: ImageFile, max_pixels: int | None = None) -> NDArray[np.uint16]:
    """The number that each pixel of a mask holds (H, W): a palette's index or a grey value.

    Raises ImageError as :func:`read_image`, and for a picture of colours.
    """
    data = _bytes_of(path)
    _check_complete(path, io.BytesIO(data), max_pixels or pixel_limit())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data), formats=_MASK_FORMATS)
            mode, values = picture.mode, np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise _damaged(path, f"is no mask that can be read ({str(error)[:60]})") from error
    if mode not in _NUMBERED or values.ndim != 2:
        raise ImageError(
            f"the mask '{path}' is a picture of colours ({mode}); write the number of a class into each "
            "pixel, as a grey PNG or one with a palette"
        )
    return values.astype(np.uint16)


def image_size(path: ImageFile, max_pixels: int | None = None) -> tuple[int, int]:
    """Width and height in pixels after EXIF rotation, from the header alone. Raises ImageError."""
    with _opened(path) as stream:
        header = _header(path, stream, max_pixels or pixel_limit())
    return header.width, header.height


def check_image(path: ImageFile, max_pixels: int | None = None) -> ImageHeader:
    """Look at the header and the end of a file, without decoding. Raises ImageError as read_image does.

    What it cannot see is damage between the two, which read_image finds.
    """
    with _opened(path) as stream:
        return _check_complete(path, stream, max_pixels or pixel_limit())


def pixel_limit() -> int:
    """Pixels that an image may have: :data:`MAX_PIXELS`, or what CALIBRANT_MAX_PIXELS says.

    Raises SettingsError where that is no number.
    """
    return limit_from(PIXEL_LIMIT, MAX_PIXELS)


def _check_complete(path: ImageFile, stream: BinaryIO, max_pixels: int) -> ImageHeader:
    """The header of the image in ``stream``; raises ImageError, naming ``path``, when its end is missing."""
    header = _header(path, stream, max_pixels)
    is_complete = _COMPLETENESS.get(header.format)
    if is_complete is not None and not is_complete(stream):
        raise _damaged(path, "is truncated")
    if header.format == "PNG" and not _png_sums_match(stream):
        raise _damaged(path, "is damaged (a checksum does not match)")
    return header


# --- decoding --------------------------------------------------------------------------------------


def _decoded(data: bytes) -> NDArray[np.uint8] | None:
    """What OpenCV makes of a file; None where it cannot."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _decoded_jpeg(path: ImageFile, data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG. Raises ImageError where libjpeg warns of damage.

    What is not plain, such as CMYK or an image that EXIF may turn, is OpenCV's.
    """
    if _EXIF in data:
        _strictly(path, data, "GRAY", **_SMALLEST)
        return _decoded(data)
    pixels = _strictly(path, data, "BGR")
    return _decoded(data) if pixels is None else pixels


def _strictly(path: ImageFile, data: bytes, colour: str, **size: int) -> NDArray[np.uint8] | None:
    """A JPEG in a ``colour`` of simplejpeg; None where it knows no such. Raises ImageError for damage."""
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colour, **size), np.uint8)
    except ValueError as error:
        if not any(word in str(error) for word in _LIBJPEG_DAMAGE):
            return None
        if len(tidy := _without_strays(data)) < len(data):
            return _strictly(path, tidy, colour, **size)
        raise _damaged(path, f"is damaged ({error})") from error


def _require_sound_tiff(path: ImageFile, data: bytes) -> None:
    """Raise ImageError for a TIFF with parts that cannot be unpacked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data), formats=("TIFF",))
        tags = dict(getattr(image, "tag_v2", {}))
        try:
            for part in _tiff_parts(data, tags):
                if tags[_TIFF_COMPRESSION] == _TIFF_JPEG:
                    tables = bytes(tags.get(_TIFF_JPEG_TABLES, b""))[:-2]  # they stand once for all parts
                    _strictly(path, tables + part[2:] if tables else part, "GRAY", **_SMALLEST)
                elif tags[_TIFF_COMPRESSION] in _TIFF_DEFLATE:
                    _inflate(part)
            image.load()
        except (OSError, zlib.error) as error:
            raise _damaged(path, f"is damaged ({str(error)[:60]})") from error


def _tiff_parts(data: bytes, tags: Mapping[int, Any]) -> Iterator[bytes]:
    """The compressed strips or tiles of a TIFF's first image."""
    for offsets, lengths in _TIFF_PARTS:
        for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False):
            yield data[offset : offset + length]


def _inflate(part: bytes) -> None:
    """Unpack and forget. Raises zlib.error for damage, also where only the checksum at the end shows it."""
    stream = zlib.decompressobj()
    while part and not stream.eof and stream.decompress(part, _AT_ONCE):
        part = stream.unconsumed_tail


# --- headers ---------------------------------------------------------------------------------------


def _header(path: ImageFile, stream: BinaryIO, max_pixels: int) -> ImageHeader:
    if stream.seek(0, os.SEEK_END) == 0:
        raise _damaged(path, "is empty (0 bytes)")
    stream.seek(0)
    try:
        if max_pixels > MAX_PIXELS:
            Image.MAX_IMAGE_PIXELS = None  # the limit is our own then
        header = _parsed_header(stream)
    except Image.DecompressionBombError:
        raise _too_large(path, f"more than {MAX_PIXELS}", MAX_PIXELS) from None
    except UnidentifiedImageError:
        if Path(str(path)).suffix.lower() in VIDEO_SUFFIXES:
            raise ImageError(f"'{path}' is a video; {FRAMES_OF_VIDEO}") from None
        raise _damaged(
            path, "is not an image that can be read (JPEG, PNG, BMP, WebP, TIFF), or cut off"
        ) from None
    except Exception as error:  # a damaged header can upset a parser in any way
        raise _damaged(path, f"has a damaged header ({type(error).__name__})") from error
    if header.width * header.height > max_pixels:
        raise _too_large(path, f"{header.width}x{header.height}", max_pixels)
    return header


def _parsed_header(stream: BinaryIO) -> ImageHeader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large images and odd metadata: the limit here is our own
        image = Image.open(stream, formats=_FORMATS)
        width, height = image.size
        name = image.format or ""
        if name in _ROTATED_BY_OPENCV and _orientation(image) in _SIDEWAYS:
            width, height = height, width
    return ImageHeader(name, width, height)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 when there is none that can be read (OpenCV, too, then rotates nothing)."""
    exif = Image.Exif()  # not image.getexif(), which decodes a PNG whole and believes XMP
    try:
        exif.load(image.info.get("exif", b""))
        return int(exif.get(_ORIENTATION, 1))
    except Exception:
        return 1


# --- completeness ----------------------------------------------------------------------------------


def _jpeg_is_complete(stream: BinaryIO) -> bool:
    """Whether an End Of Image marker follows the start of the first scan (ITU T.81, annex B).

    Between the two, entropy coded data cannot hold the marker; a thumbnail in the metadata before can.
    """
    scan = _first_scan(stream)
    if scan is None:
        return False
    stream.seek(-len(_JPEG_END), os.SEEK_END)
    if stream.read() == _JPEG_END:
        return True
    stream.seek(scan)
    return _JPEG_END in stream.read()


def _first_scan(stream: BinaryIO) -> int | None:
    return next((start for kind, start in _jpeg_segments(stream) if kind == _JPEG_START_OF_SCAN), None)


def _jpeg_segments(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Each marker up to the first scan's, and where what follows it starts; decoders skip bytes between."""
    stream.seek(2)
    while byte := stream.read(1):
        if byte != b"\xff":
            continue
        while (byte := stream.read(1)) == b"\xff":
            pass
        if byte in (b"", b"\x00") or byte[0] in _JPEG_WITHOUT_LENGTH:
            continue
        start = stream.tell()
        yield byte[0], start
        if byte[0] == _JPEG_START_OF_SCAN:
            return
        stream.seek(start + max(int.from_bytes(stream.read(2), "big"), 2))


def _without_strays(data: bytes) -> bytes:
    """A JPEG without the bytes between its first segments that mean nothing, but make libjpeg warn."""
    kept = [data[:2]]
    for kind, start in _jpeg_segments(io.BytesIO(data)):
        length = max(int.from_bytes(data[start : start + 2], "big"), 2)
        end = None if kind == _JPEG_START_OF_SCAN else start + length
        kept.append(bytes((0xFF, kind)) + data[start:end])
    return b"".join(kept)


def _png_is_complete(stream: BinaryIO) -> bool:
    """Whether the chunks lead to IEND inside the file."""
    return any(kind == b"IEND" for kind, _ in _png_chunks(stream))


def _png_sums_match(stream: BinaryIO) -> bool:
    """Whether every chunk that a decoder cannot do without has its checksum (ISO 15948, 5.3)."""
    for kind, length in _png_chunks(stream):
        data, told = stream.read(length), stream.read(4)
        if kind[:1].isupper() and zlib.crc32(kind + data).to_bytes(4, "big") != told:
            return False
    return True


def _png_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Each chunk's kind and length up to IEND, with the stream at its data."""
    size = stream.seek(0, os.SEEK_END)
    position, kind = 8, b""
    while position + 12 <= size and kind != b"IEND":
        stream.seek(position)
        length, kind = int.from_bytes(stream.read(4), "big"), stream.read(4)
        yield kind, length
        position += 12 + length


def _riff_is_complete(stream: BinaryIO) -> bool:
    """Whether a WebP file is as long as its RIFF header says."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(4)
    return int.from_bytes(stream.read(4), "little") + 8 <= size


_COMPLETENESS: Final = {
    "JPEG": _jpeg_is_complete,
    "MPO": _jpeg_is_complete,
    "PNG": _png_is_complete,
    "WEBP": _riff_is_complete,
}


# --- files and errors ------------------------------------------------------------------------------


def _opened(path: ImageFile) -> BinaryIO:
    try:
        return opened(path) if isinstance(path, Path) else io.BytesIO(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def image_bytes(file: ImageFile) -> bytes:
    """The content of an image's file, or of what an archive holds. Raises OSError."""
    return read_bytes(file) if isinstance(file, Path) else file.read_bytes()


def _bytes_of(path: ImageFile) -> bytes:
    try:
        return image_bytes(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: ImageFile, error: Exception) -> ImageError:
    reason = getattr(error, "strerror", None) or str(error)
    return ImageError(f"'{path}' cannot be read ({reason}); check its name and permissions")


def _damaged(path: ImageFile, fact: str) -> ImageError:
    return ImageError(f"'{path}' {fact}; replace it, or leave damaged images out with --skip-bad")


def _too_large(path: ImageFile, size: str, max_pixels: int) -> ImageError:
    return ImageError(
        f"'{path}' has {size} pixels (limit {max_pixels}); shrink it, cut it into tiles, or set {PIXEL_LIMIT}"
    )
