"""Any model is fed with arrays or images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.core.errors import DataError, ModelError
from calibrant.core.tasks import Reading, SampleSet
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.outputs.definition import OUTPUTS
from calibrant.tasks.outputs.samples import array_samples

RANDOM = np.random.default_rng(0)


def signature(*inputs: tuple[str, tuple[int | None, ...], str]) -> ModelSignature:
    return ModelSignature(tuple(TensorInfo(*given) for given in inputs), (), {}, {})


def one(*shape: int | None, dtype: str = "float32") -> ModelSignature:
    return signature(("x", shape, dtype))


def fed(path: Path, found: ModelSignature, limit: int | None = None) -> list[dict[str, Any]]:
    return [dict(sample.feeds()) for sample in array_samples(path, found, limit)]


@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_the_first_axis_is_of_samples(tmp_path: Path, batch: int | None, kind: str) -> None:
    values = RANDOM.normal(size=(3, 5, 7)).astype(np.float32)
    path = tmp_path / f"a.{kind}"
    np.save(path, values) if kind == "npy" else np.savez(path, values)
    found = fed(path, one(batch, None, 7))
    np.testing.assert_array_equal([feeds["x"] for feeds in found], values[:, np.newaxis])
    assert len(fed(path, one(batch, None, 7), 2)) == 2


def test_one_sample_may_lack_the_first_axis(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((5, 7), np.float32))
    (feeds,) = fed(tmp_path / "a.npy", one(1, 5, 7))
    assert feeds["x"].shape == (1, 5, 7)


def test_a_fixed_batch_takes_as_many_and_the_last_is_filled_up(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32)[:, np.newaxis])
    found = fed(tmp_path / "a.npy", one(4, 1))
    assert [feeds["x"].ravel().tolist() for feeds in found] == [[0, 1, 2, 3], [4, 5, 0, 1]]
    np.save(tmp_path / "few.npy", np.ones((1, 1), np.float32))
    assert fed(tmp_path / "few.npy", one(4, 1))[0]["x"].shape == (4, 1)


def test_whole_batches_may_be_stacked(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 4, 3), np.float32))
    assert [feeds["x"].shape for feeds in fed(tmp_path / "a.npy", one(4, 3))] == [(4, 3)] * 2


def test_several_inputs_go_by_name(tmp_path: Path) -> None:
    found = signature(("ids", (None, None), "int64"), ("mask", (None, None), "int64"))
    np.savez(tmp_path / "a.npz", mask=np.ones((2, 5), np.int32), ids=np.arange(10).reshape(2, 5), other=1)
    feeds = fed(tmp_path / "a.npz", found)[1]
    assert feeds["ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert feeds["mask"].dtype == np.int64


def test_numbers_become_the_type_of_the_input(tmp_path: Path) -> None:
    for dtype in (np.float16, np.float64, np.uint8):
        np.save(tmp_path / "a.npy", np.ones((1, 3), dtype))
        assert fed(tmp_path / "a.npy", one(1, 3))[0]["x"].dtype == np.float32


@pytest.mark.parametrize(
    ("array", "found", "words"),
    [
        (np.ones((2, 3), np.float32), one(1, 4), r"has shape 2x3, and input 'x' takes 1x4"),
        (np.ones((2, 2, 2, 3), np.float32), one(1, 3), "has shape 2x2x2x3"),
        (np.ones((2, 3), np.float32), one(1, 3, dtype="int64"), "is float32, and input 'x' takes int64"),
        (np.ones((2, 3), "U1"), one(1, 3), "takes float32"),
        (np.ones((0, 3), np.float32), one(1, 3), "holds no samples"),
        (np.float32(1), one(1, 3), "has shape"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, array: Any, found: ModelSignature, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=words):
        fed(tmp_path / "a.npy", found)


def test_missing_names_and_unequal_numbers_are_told(tmp_path: Path) -> None:
    found = signature(("a", (None, 3), "float32"), ("b", (None, 3), "float32"))
    np.savez(tmp_path / "a.npz", a=np.ones((2, 3)), c=np.ones((2, 3)))
    with pytest.raises(DataError, match="holds 'a', 'c', and the model has the inputs 'a', 'b'"):
        fed(tmp_path / "a.npz", found)
    np.savez(tmp_path / "b.npz", a=np.ones((2, 3)), b=np.ones((1, 3)))
    with pytest.raises(DataError, match=r"different numbers of samples.*'a' 2, 'b' 1"):
        fed(tmp_path / "b.npz", found)


def opened(found: ModelSignature, images: Path) -> SampleSet:
    known = OUTPUTS.recognise(found)
    assert known is not None
    return OUTPUTS.open_calibration(str(images), known, None, Reading())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for index in range(3):
        colour = np.full((10, 20, 3), [10 * index, 0, 200], np.uint8)
        Image.fromarray(colour).save(tmp_path / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("found", "shape", "red"),
    [
        (one(None, 3, 48, 320), (1, 3, 48, 320), 10 / 255),
        (one(1, 8, 8, 3), (1, 8, 8, 3), 10 / 255),
        (one(2, 3, 8, 8), (2, 3, 8, 8), 0.0),
        (one(1, 8, 8, 3, dtype="uint8"), (1, 8, 8, 3), 10),
        (one(1, 1, 8, 8), (1, 1, 8, 8), None),
    ],
)
def test_images_are_stretched_and_the_user_is_told(
    images: Path, found: ModelSignature, shape: tuple[int, ...], red: float | None
) -> None:
    samples = opened(found, images)
    feeds = [sample.feeds()["x"] for sample in samples.samples]
    assert {values.shape for values in feeds} == {shape}
    assert len(feeds) == -(-3 // shape[0])
    assert "images are stretched to" in samples.warnings[-1]
    if red is not None:
        which = feeds[0 if shape[0] == 2 else 1]
        pixel = which[0, 0, 0, 0]
        assert pixel == pytest.approx(red)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (one(1, 3, None, None), "--input-shape 640x640"),
        (one(1, 8, 8, 8), "has 8 channels"),
        (one(1, 80, 300), "images do not fill the inputs 'x'"),
        (
            signature(("a", (1, 3, 8, 8), "float32"), ("b", (1,), "float32")),
            "give arrays by the inputs' names",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(images: Path, found: ModelSignature, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        opened(found, images)
