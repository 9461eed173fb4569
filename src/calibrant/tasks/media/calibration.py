"""Calibration inputs: images or preprocessed arrays, in an order that does not change between runs.

The order matters: TensorRT's Entropy-v2 takes the range of its histogram from the first sample.
"""

from __future__ import annotations

import glob
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from calibrant.core.errors import DataError, ImageError
from calibrant.core.reading import sha256_of
from calibrant.core.tasks import Reading, SampleSet
from calibrant.tasks.media.arrays import StoredArray, stored_arrays
from calibrant.tasks.media.contents import contents_sha256
from calibrant.tasks.media.files import (
    first,
    images_in,
    is_file,
    is_folder,
    listed_paths,
    unique_ids,
)
from calibrant.tasks.media.images import (
    IMAGE_SUFFIXES,
    ImageFile,
    ImageHeader,
    check_image,
    image_bytes,
    read_image,
)
from calibrant.tasks.media.samples import CalibrationSample, ImageSample

_GLOB_SIGNS = frozenset("*?[")


def calibration_samples(source: str | Path, limit: int | None = None) -> tuple[CalibrationSample, ...]:
    """Find the calibration samples that ``source`` means; the first ``limit`` of them.

    - a folder: the images directly in it, or below it when there are none, in order of their names;
    - a glob pattern (``**`` goes into subfolders): the images it matches, in order of their names;
    - a ``.txt`` list: one path a line, relative to the list's folder, in the order of the list;
    - an image file;
    - ``.npy`` or ``.npz``: float32 (N, C, H, W) or (C, H, W), preprocessed as the model wants its input.
      Only the sample in use is read into memory; the arrays of a ``.npz`` are taken in its order. Each
      sample has shape (1, C, H, W).

    Nothing is decoded here. Raises DataError when there are no samples or a file cannot be read.
    """
    path = Path(source)
    if path.suffix.lower() in {".npy", ".npz"}:
        samples = _arrays(path)
    else:
        images = _images(path, str(source))
        names = unique_ids(images)
        samples = tuple(CalibrationSample(name, image) for name, image in zip(names, images, strict=True))
    return samples[: first(limit, len(samples))]


def calibration_images(source: str, reading: Reading) -> SampleSet:
    """Images in order, or arrays that are preprocessed already, opened and checked.

    Raises DataError or ImageError.
    """
    samples, warnings = check_images(calibration_samples(source, reading.limit), reading.skip_bad)
    return SampleSet(source, samples, warnings, content_sha256=contents_sha256(samples))


def shared_images(calibration: Sequence[CalibrationSample], test: Sequence[ImageSample]) -> tuple[str, ...]:
    """Ids of the test images whose file has the same bytes as a calibration image's."""
    by_size: defaultdict[int, list[ImageFile]] = defaultdict(list)
    for sample in calibration:
        if sample.path is not None and (size := _size(sample.path)) is not None:
            by_size[size].append(sample.path)
    hashes: dict[int, frozenset[bytes]] = {}
    return tuple(sample.id for sample in test if _is_among(sample, by_size, hashes))


# --- images ----------------------------------------------------------------------------------------


def _images(path: Path, source: str) -> tuple[Path, ...]:
    if is_folder(path):
        images = images_in(path)
    elif is_file(path):
        images = listed_paths(path) if path.suffix.lower() == ".txt" else (path,)
    elif _GLOB_SIGNS & set(source):
        # glob.glob, as Path.glob takes no absolute pattern
        matches = (Path(match) for match in sorted(glob.glob(source, recursive=True)))  # noqa: PTH207
        images = tuple(
            match for match in matches if match.suffix.lower() in IMAGE_SUFFIXES and is_file(match)
        )
    else:
        raise DataError(f"'{source}' does not exist; give a folder of images, a glob, a .txt list or .npy")
    if not images:
        raise DataError(f"no images are in '{source}'; give some, e.g. as .jpg or .png")
    return images


def _is_among(
    sample: ImageSample, by_size: Mapping[int, Sequence[ImageFile]], hashes: dict[int, frozenset[bytes]]
) -> bool:
    size = _size(sample.path) if sample.path is not None else None
    if sample.path is None or size is None or size not in by_size:
        return False
    if size not in hashes:
        hashes[size] = frozenset(_digest(path) for path in by_size[size])
    return _digest(sample.path) in hashes[size]


def _size(file: ImageFile) -> int | None:
    """In bytes; None where it cannot be read."""
    try:
        return file.stat().st_size if isinstance(file, Path) else len(image_bytes(file))
    except (OSError, ValueError):
        return None


def _digest(file: ImageFile) -> bytes:
    if isinstance(file, Path):
        return bytes.fromhex(sha256_of(file))
    return hashlib.sha256(image_bytes(file)).digest()


# --- arrays ----------------------------------------------------------------------------------------


def _arrays(path: Path) -> tuple[CalibrationSample, ...]:
    arrays = stored_arrays(path)
    names = {key: key if path.suffix.lower() == ".npy" else f"{path.name}/{key}" for key in arrays}
    samples = [
        CalibrationSample(f"{names[key]}[{index}]", array=partial(batch.read, index, 1))
        for key, array in arrays.items()
        for batch in [_batch(array, names[key])]
        for index in range(batch.shape[0])
    ]
    if not samples:
        raise DataError(f"'{path}' holds no samples; save float32 (N, C, H, W) with N of 1 or more")
    return tuple(samples)


def _batch(array: StoredArray, name: str) -> StoredArray:
    if array.dtype != np.float32 or len(array.shape) not in (3, 4) or 0 in array.shape[-3:]:
        raise DataError(
            f"'{name}' is {array.dtype} {array.shape}; save preprocessed inputs as float32 (N, C, H, W)"
        )
    return array if len(array.shape) == 4 else array.as_one()


# --- checks ----------------------------------------------------------------------------------------


SampleT = TypeVar("SampleT", bound=ImageSample)


def check_images(samples: Sequence[SampleT], skip_bad: bool) -> tuple[tuple[SampleT, ...], tuple[str, ...]]:
    """Look at the header and the end of every image, without decoding: the samples kept, and warnings.

    Samples without an image (arrays) are kept. An image that cannot be read raises ImageError with the
    count and the first name. With ``skip_bad`` images are decoded as well, and those that cannot be are left
    out with a warning. A warning also counts images whose size is not what their labels say.
    """
    checked = [(sample, _verdict(sample, decode=skip_bad)) for sample in samples]
    bad = [verdict for _, verdict in checked if isinstance(verdict, ImageError)]
    kept = tuple(sample for sample, verdict in checked if not isinstance(verdict, ImageError))
    if bad and not skip_bad:
        raise _unreadable(len(bad), len(samples), bad[0])
    if bad and not kept:
        raise ImageError(f"none of {len(samples)} images can be read: {bad[0]}")
    return kept, (*_remark_on_skipped(bad, len(samples)), *_remark_on_sizes(checked))


def _verdict(sample: ImageSample, decode: bool) -> ImageHeader | ImageError | None:
    if sample.path is None:
        return None
    try:
        header = check_image(sample.path)
        if decode:
            read_image(sample.path)
        return header
    except ImageError as error:
        return error


def _unreadable(count: int, total: int, example: ImageError) -> ImageError:
    if count == 1:
        return ImageError(str(example))
    return ImageError(f"{count} of {total} images cannot be read, e.g. {example}")


def _remark_on_skipped(bad: Sequence[ImageError], total: int) -> list[str]:
    if not bad:
        return []
    fact, _, _ = str(bad[0]).rpartition("; ")  # the remedy is what was just done
    return [f"{len(bad)} of {total} images were skipped, e.g. {fact}"]


def _remark_on_sizes(checked: Sequence[tuple[ImageSample, ImageHeader | ImageError | None]]) -> list[str]:
    wrong = [
        f"{sample.id!r} is {header.width}x{header.height}, labelled {width}x{height}"
        for sample, header in checked
        if isinstance(header, ImageHeader)
        for width, height in [_labelled_size(sample, header)]
        if (width, height) != (header.width, header.height)
    ]
    return (
        [f"{len(wrong)} of {len(checked)} images are not of their labelled size, e.g. {wrong[0]}; check them"]
        if wrong
        else []
    )


def _labelled_size(sample: ImageSample, header: ImageHeader) -> tuple[int, int]:
    """The width and height that the labels say, where they do."""
    return getattr(sample, "width", None) or header.width, getattr(sample, "height", None) or header.height
