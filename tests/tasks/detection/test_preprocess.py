"""Inputs exactly as the training pipelines make them, and boxes back to the original image."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from calibrant.tasks.detection.preprocess import placement, prepare
from calibrant.tasks.detection.profile import InputProfile, family_named

LETTERBOX = InputProfile()
YOLOX = family_named("yolox").input
sides = st.integers(1, 3000)
profiles = st.builds(
    InputProfile,
    resize=st.sampled_from(["letterbox", "stretch"]),
    align=st.sampled_from(["centre", "top-left"]),
    rounding=st.sampled_from(["nearest", "down"]),
)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("family", "side", "digest"),
    [
        ("yolo-fastest", 320, "be6b74cdbed1d6f8"),
        ("fastestdet", 352, "bcd133e47c1dd98c"),
        ("yolox", 416, "13d28f30d560c979"),
    ],
)
def test_the_first_calibration_input_is_what_tensorrt_was_given(
    shared: Path, family: str, side: int, digest: str
) -> None:
    first = min((shared / "data/coco/train2017").iterdir())
    image = np.asarray(cv2.imread(str(first)), np.uint8)
    tensor, _ = prepare(image, family_named(family).input, side, side)
    assert hashlib.sha256(tensor.tobytes()).hexdigest()[:16] == digest


@given(sides, sides, sides, sides, profiles)
def test_placed_images_lie_inside_the_input(
    image_height: int, image_width: int, height: int, width: int, profile: InputProfile
) -> None:
    where = placement(image_height, image_width, profile, height, width)
    assert 0 <= where.left <= where.left + where.resized_width <= width
    assert 0 <= where.top <= where.top + where.resized_height <= height
    touches = where.resized_width == width or where.resized_height == height
    assert touches or profile.rounding == "down"


@given(sides, sides, profiles)
def test_the_placed_edges_are_the_original_edges(
    image_height: int, image_width: int, profile: InputProfile
) -> None:
    where = placement(image_height, image_width, profile, 416, 640)
    right, bottom = where.left + where.resized_width, where.top + where.resized_height
    whole = where.to_original(np.array([[where.left, where.top, right, bottom]], np.float32))
    np.testing.assert_allclose(whole, [[0, 0, image_width, image_height]], rtol=1e-5)


def test_boxes_beyond_the_image_are_cut_at_its_edges() -> None:
    where = placement(100, 200, LETTERBOX, 640, 640)
    boxes = where.to_original(np.array([[-50, 0, 700, 640]], np.float32))
    assert boxes.tolist() == [[0, 0, 200, 100]]


@pytest.mark.parametrize(
    ("height", "width", "left", "top"),
    [(480, 640, 0, 80), (640, 480, 80, 0), (427, 640, 0, 106), (640, 425, 107, 0), (333, 500, 0, 107)],
)
def test_an_odd_pixel_of_padding_goes_right_and_below(height: int, width: int, left: int, top: int) -> None:
    where = placement(height, width, LETTERBOX, 640, 640)
    assert (where.left, where.top) == (left, top)
    below = 640 - top - where.resized_height
    right = 640 - left - where.resized_width
    assert 0 <= below - top <= 1
    assert 0 <= right - left <= 1


def test_yolox_rounds_down_and_puts_the_image_top_left() -> None:
    tensor, where = prepare(noise(427, 640), YOLOX, 416, 416)
    assert (where.resized_height, where.resized_width) == (int(427 * 0.65), 416)
    assert (where.left, where.top) == (0, 0)
    assert (tensor[0, :, where.resized_height :] == 114).all()
    assert tensor.max() > 200  # not divided


def test_channels_come_in_the_order_and_units_of_the_profile() -> None:
    image = np.empty((4, 4, 3), np.uint8)
    image[:] = (10, 20, 30)  # blue, green, red
    profile = InputProfile(divide=10, mean=(1, 2, 3), std=(1, 2, 4))
    rgb, _ = prepare(image, profile, 4, 4)
    bgr, _ = prepare(image, replace(profile, colour="bgr"), 4, 4)
    assert rgb[0, :, 0, 0].tolist() == [2, 0, -0.5]
    assert bgr[0, :, 0, 0].tolist() == [0, 0, 0]
    assert rgb.dtype == np.float32
    assert rgb.flags.c_contiguous


def test_channels_last_holds_the_same_numbers() -> None:
    image = noise(30, 50)
    first, _ = prepare(image, LETTERBOX, 64, 96)
    last, _ = prepare(image, replace(LETTERBOX, layout="nhwc"), 64, 96)
    assert last.shape == (1, 64, 96, 3)
    assert last.flags.c_contiguous
    np.testing.assert_array_equal(last.transpose(0, 3, 1, 2), first)


def test_an_image_of_the_inputs_size_is_not_touched() -> None:
    image = noise(64, 96)
    for resize in ("letterbox", "stretch"):
        profile = InputProfile(resize=resize, colour="bgr", divide=1)
        tensor, _ = prepare(image, profile, 64, 96)
        np.testing.assert_array_equal(tensor[0].transpose(1, 2, 0), image)


def test_pillow_interpolation_is_pillows() -> None:
    image = noise(100, 180)
    profile = InputProfile(resize="stretch", interpolation="pillow", colour="rgb", divide=1)
    tensor, _ = prepare(image, profile, 32, 64)
    red_first = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    expected = np.asarray(red_first.resize((64, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(tensor[0].transpose(1, 2, 0), expected)


def test_one_pixel_wide_images_have_a_place() -> None:
    tensor, where = prepare(noise(1000, 1), LETTERBOX, 320, 320)
    assert where.resized_width == 1
    assert np.isfinite(tensor).all()
