"""A detector's inputs: one image, a few known others, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.detection.decode import Frame
from calibrant.tasks.detection.inputs import image_input, other_feeds

Shape = tuple[int | None, ...]


def signature(*inputs: tuple[str, Shape, str]) -> ModelSignature:
    infos = tuple(TensorInfo(name, shape, dtype) for name, shape, dtype in inputs)
    return ModelSignature(inputs=infos, outputs=(), op_counts={}, tail_ops={})


def images(*shape: int | None, dtype: str = "float32") -> ModelSignature:
    return signature(("images", shape, dtype))


@pytest.mark.parametrize(
    "given",
    [
        signature(("input_ids", (1, 128), "int64")),
        signature(("audio", (1, 16000), "float32")),
        signature(),
        images(1, 1, 32, 320),  # grey, as OCR models take it
        images(8, 3, 640, 640),  # a fixed batch
        images(1, 3, 640, 640, dtype="int32"),
        signature(("images", (1, 3, 640, 640), "float32"), ("text", (1, 77), "int64")),
    ],
)
def test_models_that_are_no_detectors_are_refused_with_their_inputs(given: ModelSignature) -> None:
    with pytest.raises(ModelError) as caught:
        image_input(given)
    for info in given.inputs[:1]:
        assert info.name in str(caught.value)


def test_a_fixed_size_needs_no_imgsz_and_refuses_another() -> None:
    found = image_input(images(1, 3, 480, 640))
    assert found.frame() == Frame(480, 640)
    assert found.frame((480, 640)) == Frame(480, 640)
    with pytest.raises(SettingsError, match="fixed at 480x640; leave --imgsz out"):
        found.frame(320)


def test_an_open_size_needs_imgsz() -> None:
    found = image_input(images(None, 3, None, None))
    assert found.known_frame is None
    assert found.frame(320) == Frame(320, 320)
    assert found.frame((320, 416)) == Frame(320, 416)
    with pytest.raises(ModelError, match="--imgsz 640"):
        found.frame()


@pytest.mark.parametrize("dtype", ["float16", "uint8", "float64"])
def test_tensors_are_cast_to_what_the_input_takes(dtype: str) -> None:
    found = image_input(images(1, 3, 2, 2, dtype=dtype))
    assert found.cast(np.full((1, 3, 2, 2), 7, np.float32)).dtype == np.dtype(dtype)


def test_other_inputs_are_fed() -> None:
    given = signature(
        ("images", (1, 3, 96, 128), "float32"),
        ("orig_target_sizes", (1, 2), "int64"),
        ("pixel_mask", (1, 64, None), "int64"),
    )
    feeds = other_feeds(given, Frame(96, 128))
    assert feeds["orig_target_sizes"].tolist() == [[128, 96]]
    assert feeds["pixel_mask"].shape == (1, 64, 128)
    assert feeds["pixel_mask"].all()
