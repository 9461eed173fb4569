from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from calibrant.core.errors import ImageError
from calibrant.tasks.media.images import PIXEL_LIMIT, check_image, image_size, read_image
from label_files import write_image

WIDTH, HEIGHT = 80, 60


def picture(seed: int = 0) -> Image.Image:
    """Smooth random colour, 80x60, that survives JPEG well."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(coarse, (WIDTH, HEIGHT)))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def saved(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def bgr(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB"))[..., ::-1]


def rotated(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# --- what is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_pixels_come_blue_first(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, "image", encoded(picture(), kind))
    image = read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, bgr(picture()))


@pytest.mark.parametrize(
    ("suffix", "modes"),
    [
        (".jpg", ["RGB", "L", "CMYK"]),
        (".png", ["RGB", "L", "RGBA", "LA", "P", "1"]),
        (".webp", ["RGB", "RGBA"]),
        (".tif", ["RGB", "L", "RGBA", "CMYK"]),
        (".bmp", ["RGB", "L", "P"]),
    ],
)
def test_images_are_read_as_training_code_reads_them(tmp_path: Path, suffix: str, modes: list[str]) -> None:
    for mode in modes:
        path = tmp_path / f"{mode}{suffix}"
        # upside down, as imread of OpenCV 5.0.0 fails for a TIFF on its side, where imdecode does not
        picture().convert(mode).save(path, exif=rotated(3 if suffix == ".tif" else 8))
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path), cv2.IMREAD_COLOR))


@pytest.mark.shared
def test_real_photographs_are_read_as_training_code_reads_them(shared: Path) -> None:
    for path in sorted((shared / "data" / "coco" / "val2017").iterdir())[:20]:
        image = read_image(path)
        np.testing.assert_array_equal(image, cv2.imread(str(path), cv2.IMREAD_COLOR))
        assert image_size(path) == (image.shape[1], image.shape[0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    path = saved(tmp_path, "image", encoded(picture(), kind, exif=rotated(orientation)))
    upright = ImageOps.exif_transpose(Image.open(path))
    np.testing.assert_array_equal(read_image(path), bgr(upright))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_size_in_the_header_is_the_size_that_is_read(tmp_path: Path, kind: str, orientation: int) -> None:
    path = saved(tmp_path, "image", encoded(picture(), kind, exif=rotated(orientation)))
    height, width = read_image(path).shape[:2]
    assert image_size(path) == (width, height)


def test_an_upright_jpeg_turned_by_exif_is_taller_than_wide(tmp_path: Path) -> None:
    path = saved(tmp_path, "turned.jpg", encoded(picture(), "JPEG", exif=rotated(6)))
    assert image_size(path) == (HEIGHT, WIDTH)


def test_damaged_exif_rotates_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jpg", encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"))
    assert image_size(path) == (WIDTH, HEIGHT)
    assert read_image(path).shape == (HEIGHT, WIDTH, 3)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = picture().convert("L")
    image = read_image(saved(tmp_path, "grey.png", encoded(grey, "PNG")))
    np.testing.assert_array_equal(image, np.repeat(np.asarray(grey)[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    wide = bgr(picture()).astype(np.uint16) * 257
    path = saved(tmp_path, f"wide{suffix}", cv2.imencode(suffix, wide)[1].tobytes())
    np.testing.assert_array_equal(read_image(path), bgr(picture()))


def test_cmyk_becomes_colour(tmp_path: Path) -> None:
    path = saved(tmp_path, "cmyk.jpg", encoded(picture().convert("CMYK"), "JPEG", quality=95))
    difference = np.abs(read_image(path).astype(int) - bgr(picture()))
    assert difference.mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_is_dropped_and_palettes_resolved(tmp_path: Path, mode: str) -> None:
    image = picture().convert(mode)
    if mode != "P":
        image.putalpha(7)
    path = saved(tmp_path, "alpha.png", encoded(image, "PNG"))
    np.testing.assert_array_equal(read_image(path), bgr(image))


def test_unicode_names(tmp_path: Path) -> None:
    path = saved(tmp_path, "größe 画像 🙂.png", encoded(picture(), "PNG"))
    assert image_size(path) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(read_image(path), bgr(picture()))


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path, "really-a-png.jpg", encoded(picture(), "PNG"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_image(path), bgr(picture()))


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncation_is_seen_with_and_without_decoding(tmp_path: Path, kind: str, part: float) -> None:
    whole = encoded(picture(), kind)
    path = saved(tmp_path, "cut", whole[: int(len(whole) * part)])
    with pytest.raises(ImageError, match=r"'.*cut'"):
        check_image(path)
    with pytest.raises(ImageError, match=r"'.*cut'"):
        read_image(path)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "GIF", "PPM", "JPEG2000"])
def test_truncation_is_seen_when_decoding(tmp_path: Path, kind: str) -> None:
    whole = encoded(picture(), kind)
    with pytest.raises(ImageError, match="cut"):
        read_image(saved(tmp_path, "cut", whole[: len(whole) // 2]))


def test_a_truncated_progressive_jpeg(tmp_path: Path) -> None:
    whole = encoded(picture(), "JPEG", progressive=True)
    with pytest.raises(ImageError, match="is truncated"):
        check_image(saved(tmp_path, "cut.jpg", whole[: len(whole) * 2 // 3]))


def test_a_thumbnail_does_not_hide_truncation(tmp_path: Path) -> None:
    thumbnail = encoded(picture(1), "JPEG")
    assert thumbnail.endswith(b"\xff\xd9")
    exif = b"Exif\0\0" + thumbnail
    whole = encoded(picture(), "JPEG", exif=exif)
    inside_thumbnail = whole[: whole.index(b"\xff\xd9") + 2]
    inside_scan = whole[:-100]
    for index, data in enumerate((inside_thumbnail, inside_scan)):
        with pytest.raises(ImageError):
            check_image(saved(tmp_path, f"{index}.jpg", data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_bytes_after_the_end_are_harmless(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, "long", encoded(picture(), kind) + bytes(1000))
    assert (check_image(path).width, check_image(path).height) == (WIDTH, HEIGHT)
    assert read_image(path).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("stray", [b"\xff\xff", b"\0\0", b"\xff\xd0", b"\xff\x00", b"abc"])
def test_stray_bytes_between_jpeg_segments_are_skipped(tmp_path: Path, stray: bytes) -> None:
    data = encoded(picture(), "JPEG")
    second = 4 + int.from_bytes(data[4:6], "big")
    path = saved(tmp_path, "a.jpg", data[:second] + stray + data[second:])
    np.testing.assert_array_equal(read_image(path), cv2.imdecode(np.frombuffer(data, np.uint8), 1))


def test_a_png_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    data = bytearray(encoded(picture(), "PNG"))
    data[len(data) // 2] ^= 1
    path = saved(tmp_path, "flipped.png", bytes(data))
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match="a checksum does not match"):
            read(path)


def large() -> Image.Image:
    """A picture whose compressed data is long enough to be damaged anywhere."""
    noise = np.random.default_rng(5).normal(0, 20, (240, 320, 3))
    smooth = np.asarray(picture().resize((320, 240)), float)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": rotated(6)}),
        ("JPEG", {"subsampling": 0}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "jpeg"}),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_damage_in_the_middle_is_seen(
    tmp_path: Path, kind: str, options: dict[str, object], seed: int
) -> None:
    data = bytearray(encoded(large(), kind, **options))
    assert read_image(saved(tmp_path, "whole", bytes(data))).size == 3 * 320 * 240
    rng = np.random.default_rng(seed)
    middle = len(data) // 2
    data[middle : middle + 400] = rng.integers(0, 255, 400, np.uint8).tobytes()
    with pytest.raises(ImageError, match=r"'.*damaged.*' (is damaged|cannot be decoded).*--skip-bad"):
        read_image(saved(tmp_path, "damaged", bytes(data)))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [30, 98])
@pytest.mark.parametrize("size", [(320, 240), (1, 1), (17, 33), (161, 7)])
def test_a_jpeg_has_the_bits_that_opencv_gives(
    tmp_path: Path, subsampling: int, quality: int, size: tuple[int, int]
) -> None:
    for progressive in (False, True):
        image = large().resize(size)
        data = encoded(image, "JPEG", subsampling=subsampling, quality=quality, progressive=progressive)
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(read_image(saved(tmp_path, "image.jpg", data)), expected)


@pytest.mark.parametrize("name", ["drive.mp4", "drive.MOV", "drive.avi"])
def test_a_video_is_called_one(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, name, b"\0\0\0\x18ftypmp42" + bytes(1000))
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match=r"is a video; give images: save frames of it first"):
            read(path)


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<html>404 not found</html>", "is not an image"),
        (b"\xff\xd8\xff", "is not an image|damaged"),
        (b"\x89PNG\r\n\x1a\n", "is not an image|damaged"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, data: bytes, fact: str) -> None:
    path = saved(tmp_path, "photo.jpg", data)
    for read in (read_image, image_size, check_image):
        with pytest.raises(ImageError, match=rf"^'.*photo\.jpg' ({fact}).*; "):
            read(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jpg", tmp_path):
        with pytest.raises(ImageError, match="cannot be read"):
            read_image(path)
        with pytest.raises(ImageError, match="cannot be read"):
            image_size(path)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [15_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path: Path, side: int) -> None:
    path = saved(tmp_path, "bomb.png", png_that_claims(side, side))
    for read in (read_image, image_size, check_image):
        with pytest.raises(ImageError, match="pixels"):
            read(path)


def test_the_pixel_limit_can_be_lowered(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", 100, 50)
    assert read_image(path, max_pixels=5000).shape == (50, 100, 3)
    with pytest.raises(ImageError, match=r"has 100x50 pixels \(limit 4999\)"):
        read_image(path, max_pixels=4999)


def test_the_environment_moves_the_pixel_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_image(tmp_path / "a.png", 100, 50)
    monkeypatch.setenv(PIXEL_LIMIT, "4999")
    for read in (read_image, image_size, check_image):
        with pytest.raises(ImageError, match=r"limit 4999\); .* or set CALIBRANT_MAX_PIXELS"):
            read(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv(PIXEL_LIMIT, str(2**40))
    large = saved(tmp_path, "large.png", png_that_claims(20_000, 20_000))
    assert image_size(large) == (20_000, 20_000)


@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"]),
    position=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=8),
    keep=st.floats(0.01, 1),
)
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, position: float, patch: bytes, keep: float
) -> None:
    data = bytearray(encoded(picture(), kind))
    start = int(position * len(data))
    data[start : start + len(patch)] = patch
    path = saved(tmp_path_factory.getbasetemp(), "damaged", bytes(data[: max(1, int(len(data) * keep))]))
    try:
        size = image_size(path, max_pixels=10**6)
        image = read_image(path, max_pixels=10**6)
    except ImageError as error:
        message = str(error)
        assert str(path) in message
    else:
        assert image.shape == (size[1], size[0], 3)
