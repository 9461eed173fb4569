"""Families told apart by what a graph shows; what cannot be told is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calibrant.core.errors import ModelError, UnknownFamilyError
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.detection.families import recognise
from calibrant.tasks.detection.profile import family_named

RAW = ("Transpose", "Concat", "Reshape", "Conv", "Sigmoid")
YOLOV5_TAIL = ("Concat", "Reshape", "Mul", "Split", "Add", "Pow", "Sigmoid", "Transpose", "Conv")
NAMES = str({0: "person", 1: "car"})


def signature(
    *outputs: tuple[int | None, ...],
    size: tuple[int | None, int | None] = (640, 640),
    tail: tuple[str, ...] = RAW,
    image: tuple[int | None, ...] | None = None,
    other_inputs: tuple[str, ...] = (),
    **metadata: str,
) -> ModelSignature:
    shapes = {f"out{index}": shape for index, shape in enumerate(outputs)}
    others = tuple(TensorInfo(name, (1, 2), "int64") for name in other_inputs)
    return ModelSignature(
        inputs=(TensorInfo("images", image or (1, 3, *size), "float32"), *others),
        outputs=tuple(TensorInfo(name, shape, "float32") for name, shape in shapes.items()),
        op_counts={},
        tail_ops=dict.fromkeys(shapes, tail),
        metadata=metadata,
    )


@pytest.mark.parametrize(
    ("given", "family", "classes"),
    [
        (signature((1, 25200, 85), tail=YOLOV5_TAIL), "yolov5", 80),
        (signature((1, 25200, 6), tail=YOLOV5_TAIL), "yolov5", 1),
        (signature((1, 102000, 85), size=(1280, 1280), tail=YOLOV5_TAIL), "yolov5", 80),
        (signature((1, 18900, 85), size=(480, 640), tail=YOLOV5_TAIL), "yolov5", 80),
        (signature((1, 1500, 85), size=(320, 320), tail=YOLOV5_TAIL), "yolov5", 80),
        (signature((1, 1500, 85), size=(320, 320), tail=(*YOLOV5_TAIL, "Exp")), "yolo-fastest", 80),
        (
            signature((1, 25200, 85), (1, 3, 80, 80, 85), (1, 3, 40, 40, 85), (1, 3, 20, 20, 85)),
            "yolov5",
            80,
        ),
        (signature((1, 3, 80, 80, 85), (1, 3, 40, 40, 85), (1, 3, 20, 20, 85)), "yolov5-raw", 80),
        (signature((1, 255, 80, 80), (1, 255, 40, 40), (1, 255, 20, 20)), "yolov5-raw", 80),
        (signature((1, 84, 8400)), "yolov8", 80),
        (signature((1, 5, 8400)), "yolov8", 1),
        (signature((1, 84, 34000), size=(640, 640)), "yolov8", 80),  # with a level at stride 4
        (signature((1, 84, None), size=(None, None)), "yolov8", 80),
        (signature((1, 300, 6)), "yolov10", None),
        (signature((1, None, 6), tail=("Concat", "NonMaxSuppression")), "yolov10", None),
        (signature((1, 3549, 85), size=(416, 416)), "yolox", 80),
        (signature((1, 3549, 6), size=(416, 416)), "yolox", 1),
        (signature((1, 8400, 85), tail=(*RAW, "Exp", "Mul", "Add")), "yolox-decoded", 80),
        (signature((1, None, 85), size=(None, None), tail=(*RAW, "Exp")), "yolox-decoded", 80),
        (signature((1, None, 85), size=(None, None), tail=YOLOV5_TAIL), "yolov5", 80),
        (signature((1, 8400, 85), tail=(*RAW, "Split", "Sub", "Add", "Mul")), "yolov6", 80),
        (signature((1, 85, 22, 22), size=(352, 352), tail=("Softmax",)), "fastestdet", 80),
        (
            signature(*((1, n, k) for k in (80, 32) for n in (2704, 676, 169)), size=(416, 416)),
            "nanodet",
            80,
        ),
        (signature((1, 3598, 112), size=(416, 416), tail=(*RAW, "Split")), "nanodet-plus", 80),
        (signature((1, 300, 84)), "rtdetr-ultralytics", 80),
        (signature((1, 300, 369)), "rtdetr-ultralytics", 365),
        (signature((1, 300, 80), (1, 300, 4), (1, 300, 256)), "rtdetr-logits", 80),
        (signature((1, 100, 92), (1, 100, 4)), "detr", 91),
        (signature((1, 300), (1, 300, 4), (1, 300), other_inputs=("orig_target_sizes",)), "rtdetr", None),
        (signature((1, 1), (1, 100, 4), (1, 100), (1, 100)), "efficientnms", None),
        (signature((None, 7)), "yolov7-end2end", None),
    ],
)
def test_family_and_classes_follow_from_the_outputs(
    given: ModelSignature, family: str, classes: int | None
) -> None:
    found = recognise(given)
    assert (found.profile.name, found.class_count) == (family, classes)


def test_why_names_the_evidence_and_the_assumptions() -> None:
    why = recognise(signature((1, 25200, 85), tail=YOLOV5_TAIL)).why
    assert "1x25200x85: 3 anchors x 8400 cells at strides 8, 16, 32 of a 640x640 input" in why
    assert "assumes a letterbox (centre, padded with 114), RGB, values divided by 255" in why
    yolox = recognise(signature((1, 8400, 85))).why
    assert "letterbox (top-left, padded with 114), BGR, values 0..255" in yolox


def test_ultralytics_metadata_gives_names_and_count() -> None:
    found = recognise(signature((1, 300, 6), names=NAMES, task="detect"))
    assert found.class_names == ("person", "car")
    assert found.class_count == 2


def test_metadata_gives_the_input_size_that_the_file_leaves_open() -> None:
    found = recognise(signature((1, 25200, 7), size=(None, None), imgsz="[640, 640]", names=NAMES))
    assert found.profile.name == "yolov5"


def test_names_that_contradict_the_outputs_are_an_error() -> None:
    with pytest.raises(ModelError, match=r"hold 34 classes .* names 2, e\.g\. 'person'"):
        recognise(signature((1, 38, 8400), names=NAMES))  # 32 of them are mask coefficients


def test_other_tasks_are_refused() -> None:
    with pytest.raises(ModelError, match="task 'segment'"):
        recognise(signature((1, 84, 8400), task="segment"))


@pytest.mark.parametrize(
    "outputs",
    [
        ((1, 1000),),  # a classifier
        ((1, 21, 512, 512),),  # segmentation
        ((1, 116, 8400), (1, 32, 160, 160)),  # YOLOv8 with masks
        ((1, 8400, 4), (1, 8400, 80)),  # YOLO-NAS
        (),
    ],
)
def test_unknown_outputs_are_listed_with_the_way_on(outputs: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(UnknownFamilyError, match=r"--family.*YAML profile") as caught:
        recognise(signature(*outputs))
    for shape in outputs:
        assert "x".join(map(str, shape)) in str(caught.value)


@pytest.mark.parametrize(
    ("family", "given"),
    [
        ("yolov8", signature((1, 25200, 85))),
        ("yolov5", signature((1, 84, 8400))),
        ("yolox", signature((1, 25200, 85))),
        ("nanodet", signature((1, 25200, 85))),
        ("nanodet-plus", signature((1, 8400, 112))),
        ("fastestdet", signature((1, 25200, 85))),
        ("yolov10", signature((1, 25200, 85))),
        ("detr", signature((1, 25200, 85))),
        ("efficientnms", signature((1, 25200, 85))),
        ("yolov5-raw", signature((1, 25200, 85))),
        ("yolov7-end2end", signature((1, 25200, 85))),
    ],
)
def test_a_forced_family_that_does_not_fit_is_one_clear_error(family: str, given: ModelSignature) -> None:
    with pytest.raises(ModelError, match=r"decoder reads .* but the outputs are out0 1x.*--family") as caught:
        recognise(given, family_named(family))
    assert "\n" not in str(caught.value)


def test_a_forced_family_that_fits_is_taken() -> None:
    found = recognise(signature((1, 3549, 85), size=(416, 416)), family_named("yolov5"))
    assert found.profile.name == "yolov5"
    assert found.why.startswith("profile 'yolov5' was given")


def test_channels_last_shows_in_the_input() -> None:
    found = recognise(signature((1, 84, 8400), image=(1, 640, 640, 3)))
    assert found.profile.input.layout == "nhwc"
    assert "NHWC as the input shows" in found.why


def test_an_input_of_bytes_takes_pixels_as_they_are() -> None:
    given = signature((1, 25200, 85), tail=YOLOV5_TAIL)
    found = recognise(replace(given, inputs=(TensorInfo("images", (1, 3, 640, 640), "uint8"),)))
    assert (found.profile.input.divide, found.profile.input.colour) == (1, "rgb")
    assert "unscaled pixels as the input shows" in found.why


def test_whole_numbers_alone_are_no_detectors() -> None:
    """A map of classes has the shape of a few queries."""
    given = signature((1, 512, 512), size=(512, 512))
    numbers = replace(given, outputs=(replace(given.outputs[0], dtype="int64"),))
    with pytest.raises(UnknownFamilyError, match="whole numbers only: out0"):
        recognise(numbers)
