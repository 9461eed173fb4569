from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrant.core.errors import DataError, ImageError, SettingsError
from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.media.calibration import calibration_samples, check_images, shared_images
from calibrant.tasks.media.samples import array_of
from label_files import write_coco, write_image


def ids(source: str | Path, limit: int | None = None) -> list[str]:
    return [sample.id for sample in calibration_samples(source, limit)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images, made in an order that is not that of their names."""
    for shade, name in enumerate(("c.png", "a.jpg", "B.bmp")):
        write_image(tmp_path / "photos" / name, shade=50 * shade)
    return tmp_path / "photos"


# --- images ----------------------------------------------------------------------------------------


def test_a_folder_is_taken_in_order_of_names(photos: Path) -> None:
    write_image(photos / "below" / "0.png")
    (photos / "notes.txt").write_text("no image")
    (photos / "._a.jpg").write_bytes(b"resource fork")
    assert ids(photos) == ["B.bmp", "a.jpg", "c.png"]
    assert ids(str(photos), limit=2) == ["B.bmp", "a.jpg"]


def test_folders_below_are_searched_when_there_are_no_images_directly(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/2.png", "a/1.png"):
        write_image(tmp_path / name)
    assert ids(tmp_path) == ["a/1.png", "a/2.png", "b/1.png"]


def test_a_glob(photos: Path) -> None:
    write_image(photos / "below" / "0.png")
    assert ids(f"{photos}/*.png") == ["c.png"]
    assert ids(f"{photos}/**/*.png") == ["0.png", "c.png"]
    assert ids(f"{photos}/[ac].*") == ["a.jpg", "c.png"]


def test_a_folder_whose_name_looks_like_a_glob(tmp_path: Path) -> None:
    write_image(tmp_path / "set [1]" / "a.png")
    assert ids(tmp_path / "set [1]") == ["a.png"]


def test_a_list_keeps_its_order(photos: Path) -> None:
    listing = photos.parent / "list.txt"
    listing.write_text(f"# chosen\nphotos/c.png\n\n{photos / 'B.bmp'}\r\n  photos/a.jpg  \n")
    assert ids(listing) == ["c.png", "B.bmp", "a.jpg"]


def test_one_image(photos: Path) -> None:
    (sample,) = calibration_samples(photos / "a.jpg")
    assert (sample.id, sample.path, array_of(sample)) == ("a.jpg", photos / "a.jpg", None)


def test_unicode_names(tmp_path: Path) -> None:
    write_image(tmp_path / "größe" / "画像.png")
    assert ids(tmp_path / "größe") == ["画像.png"]


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("", "lists no images"),
        ("# nothing\n", "lists no images"),
        ("a.jpg\nabsent.jpg\n", r"1 of 2 files listed .* e\.g\. '.*absent\.jpg'"),
        ("a.jpg\na.jpg\n", "1 of 2 paths .* listed more than once"),
    ],
)
def test_bad_lists_are_refused(photos: Path, lines: str, match: str) -> None:
    listing = photos / "list.txt"
    listing.write_text(lines)
    with pytest.raises(DataError, match=match):
        calibration_samples(listing)


def test_sources_without_images_are_refused(tmp_path: Path) -> None:
    for source in (tmp_path, f"{tmp_path}/*.jpg"):
        with pytest.raises(DataError, match="no images are in"):
            calibration_samples(source)
    for absent in ("absent", "absent.npy", "absent.npz", "absent.txt"):
        with pytest.raises(DataError, match="does not exist"):
            calibration_samples(tmp_path / absent)


def test_a_limit_below_one_is_refused(photos: Path) -> None:
    with pytest.raises(SettingsError, match="limit of 0"):
        calibration_samples(photos, limit=0)


# --- arrays ----------------------------------------------------------------------------------------

BATCH = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)


def test_a_batch_is_split_and_stays_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BATCH)
    samples = calibration_samples(tmp_path / "x.npy")
    assert [sample.id for sample in samples] == ["x.npy[0]", "x.npy[1]"]
    for sample, expected in zip(samples, BATCH, strict=True):
        assert isinstance(array_of(sample), np.memmap)
        np.testing.assert_array_equal(array_of(sample), expected[np.newaxis])


def test_a_single_array_is_one_sample(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BATCH[0])
    (sample,) = calibration_samples(tmp_path / "x.npy")
    array = array_of(sample)
    assert array is not None
    assert array.shape == (1, 3, 4, 5)


def test_an_archive_is_taken_in_its_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", late=BATCH[0], early=BATCH)
    samples = calibration_samples(tmp_path / "x.npz", limit=2)
    assert [sample.id for sample in samples] == ["x.npz/late[0]", "x.npz/early[0]"]


@pytest.mark.parametrize(
    "array",
    [
        BATCH.astype(np.float64),
        (BATCH % 255).astype(np.uint8),
        BATCH[0, 0],
        np.empty((2, 3, 0, 5), np.float32),
    ],
)
def test_arrays_that_are_no_inputs_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=r"^'x\.npy' is .*; save preprocessed inputs as float32"):
        calibration_samples(tmp_path / "x.npy")


def test_an_empty_batch_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BATCH[:0])
    with pytest.raises(DataError, match="holds no samples"):
        calibration_samples(tmp_path / "x.npy")


def damaged(path: Path) -> None:
    np.savez(path, x=BATCH) if path.suffix == ".npz" else np.save(path, BATCH)
    path.write_bytes(path.read_bytes()[:-200])


def pickled(path: Path) -> None:
    content = np.array([{"code": print}], dtype=object)
    np.savez(path, x=content) if path.suffix == ".npz" else np.save(path, content)


def text(path: Path) -> None:
    path.write_text("no array")


@pytest.mark.parametrize("spoil", [damaged, pickled, text])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_files_that_are_no_arrays_are_refused(
    tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path / name)
    with pytest.raises(DataError, match="cannot be read as arrays") as caught:
        calibration_samples(tmp_path / name)
    assert "\n" not in str(caught.value)


# --- images in both sets ---------------------------------------------------------------------------


def test_images_in_both_sets_are_found_by_content(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "set"))
    twin = tmp_path / "calibration" / "other-name.png"
    twin.parent.mkdir()
    twin.write_bytes((tmp_path / "set" / "images" / "a.png").read_bytes())
    write_image(tmp_path / "calibration" / "z.png", 64, 48, shade=200)
    np.save(tmp_path / "x.npy", BATCH)
    arrays = calibration_samples(tmp_path / "x.npy")
    calibration = (*calibration_samples(tmp_path / "calibration"), *arrays)
    assert shared_images(calibration, dataset.samples) == ("a.png",)
    assert shared_images(arrays, dataset.samples) == ()


def test_files_of_equal_size_and_other_content_are_not_shared(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path / "set"))
    data = bytearray((tmp_path / "set" / "images" / "a.png").read_bytes())
    data[-1] ^= 1
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "a.png").write_bytes(data)
    assert shared_images(calibration_samples(tmp_path / "calibration"), dataset.samples) == ()


# --- checks ----------------------------------------------------------------------------------------


def test_good_images_pass(photos: Path) -> None:
    samples = calibration_samples(photos)
    assert check_images(samples, skip_bad=False) == (samples, ())


def test_bad_images_are_counted_and_the_first_is_named(photos: Path) -> None:
    samples = calibration_samples(photos)
    (photos / "B.bmp").write_bytes(b"")
    with pytest.raises(ImageError, match=r"^'.*B\.bmp' is empty .*--skip-bad"):
        check_images(samples, skip_bad=False)
    (photos / "c.png").write_bytes((photos / "c.png").read_bytes()[:-5])
    with pytest.raises(ImageError, match=r"^2 of 3 images cannot be read, e\.g\. '.*B\.bmp' .*--skip-bad"):
        check_images(samples, skip_bad=False)
    kept, warnings = check_images(samples, skip_bad=True)
    assert [sample.id for sample in kept] == ["a.jpg"]
    assert warnings == (f"2 of 3 images were skipped, e.g. '{photos / 'B.bmp'}' is empty (0 bytes)",)


def test_skipping_finds_damage_that_only_decoding_shows(photos: Path) -> None:
    samples = calibration_samples(photos)
    content = bytearray((photos / "c.png").read_bytes())
    start = content.index(b"IDAT")
    end = start + 4 + int.from_bytes(content[start - 4 : start], "big")
    content[start + 4] ^= 0xFF
    content[end : end + 4] = zlib.crc32(content[start:end]).to_bytes(4, "big")
    (photos / "c.png").write_bytes(content)
    assert len(check_images(samples, skip_bad=False)[0]) == 3
    kept, (warning,) = check_images(samples, skip_bad=True)
    assert [sample.id for sample in kept] == ["B.bmp", "a.jpg"]
    assert "1 of 3 images were skipped" in warning


def test_nothing_left_is_an_error_even_when_skipping(photos: Path) -> None:
    samples = calibration_samples(photos)
    for sample in samples:
        assert sample.path is not None
        sample.path.write_bytes(b"")
    with pytest.raises(ImageError, match="none of 3 images"):
        check_images(samples, skip_bad=True)


def test_an_image_that_vanished_is_bad(photos: Path) -> None:
    samples = calibration_samples(photos)
    (photos / "a.jpg").unlink()
    with pytest.raises(ImageError, match=r"a\.jpg' cannot be read"):
        check_images(samples, skip_bad=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_image_without_permission_is_bad(photos: Path) -> None:
    (photos / "a.jpg").chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        check_images(calibration_samples(photos), skip_bad=False)


def test_arrays_need_no_check(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", BATCH)
    samples = calibration_samples(tmp_path / "x.npy")
    assert check_images(samples, skip_bad=False) == (samples, ())


def test_sizes_that_differ_from_the_labels_are_told(tmp_path: Path) -> None:
    dataset = open_dataset(write_coco(tmp_path))
    samples = (replace(dataset.samples[0], width=48, height=64), *dataset.samples[1:])
    kept, warnings = check_images(samples, skip_bad=False)
    assert kept == samples
    assert warnings == (
        "1 of 3 images are not of their labelled size, e.g. 'b.png' is 64x48, labelled 48x64; check them",
    )
