"""Semantic segmentation as a task: what it recognises, reads, scores and tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from calibrant.core.errors import ClassMismatchError, DataError, ImageError, ModelError
from calibrant.core.tasks import MODEL, Evaluated, Reading
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.reports.tasks.semantic import difference_lines
from calibrant.tasks.media.images import read_numbers
from calibrant.tasks.registry import recognised
from calibrant.tasks.semantic import SemanticDefinition
from calibrant.tasks.semantic.definition import SemanticOptions
from calibrant.tasks.semantic.labels import open_masks
from calibrant.tasks.semantic.profile import FAMILIES, of_classes, of_scores, placed, prepared
from calibrant.tasks.semantic.score import counted
from calibrant.tasks.semantic.task import SemanticTask
from calibrant.tasks.semantic.types import NO_CLASS, ClassMap, MaskValues, SegmentedImage
from calibrant.testing import TaskConformance
from label_files import write_image

DEFINITION = SemanticDefinition()
SIZE = (24, 40)
ULTRALYTICS = {"task": "semantic", "names": "{0: 'road', 1: 'sky'}"}


def _signature(
    output: tuple[int | None, ...] = (1, 4, 64, 64),
    dtype: str = "float32",
    image: tuple[int | None, ...] = (1, 3, 64, 64),
    operators: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ModelSignature:
    return ModelSignature(
        (TensorInfo("x", image, "float32"),),
        (TensorInfo("map", output, dtype),),
        operators or {},
        {},
        metadata or {},
    )


def _task(signature: ModelSignature | None = None, family: str = "auto", **options: Any) -> SemanticTask:
    signature = signature or _signature()
    found = DEFINITION.recognise(signature, family)
    assert found is not None
    return DEFINITION.bind({MODEL: signature}, found, SemanticOptions(**options))


def _mask(seed: int) -> NDArray[np.uint8]:
    """Four classes, and pixels that do not count."""
    mask = np.random.default_rng(seed).integers(0, 4, SIZE).astype(np.uint8)
    mask[:3] = 255
    return mask


def _set(folder: Path, count: int = 4) -> Path:
    for index in range(count):
        (folder / "images" / "val").mkdir(parents=True, exist_ok=True)
        (folder / "masks" / "val").mkdir(parents=True, exist_ok=True)
        write_image(folder / "images" / "val" / f"{index}.png", *SIZE[::-1])
        Image.fromarray(_mask(index)).save(folder / "masks" / "val" / f"{index}.png")
    return folder


def _plain_map(sample: SegmentedImage) -> ClassMap:
    return ClassMap(MaskValues().classes_of(read_numbers(sample.mask)))


class TestSemanticTask(TaskConformance):
    best, worst = 1.0, 0.0
    task = _task()
    opened: Sequence[SegmentedImage]

    @pytest.fixture(autouse=True)
    def _opened(self, tmp_path: Path) -> None:
        self.opened, _ = open_masks(_set(tmp_path))

    def samples(self) -> Sequence[SegmentedImage]:
        return self.opened

    def perfect(self, sample: SegmentedImage) -> ClassMap:
        return _plain_map(sample)

    def nothing(self, sample: SegmentedImage) -> ClassMap:
        del sample
        return ClassMap(np.full(SIZE, NO_CLASS, np.uint16))


@pytest.mark.parametrize(
    ("signature", "axis", "is_one"),
    [
        (_signature(), 1, True),
        (_signature((1, 150, 16, 16)), 1, True),  # SegFormer gives a quarter
        (_signature((1, 64, 64, 21)), 3, True),  # DeepLab of TensorFlow
        (_signature((1, 64, 64), "uint8", metadata=ULTRALYTICS), None, True),
        (_signature((1, 80, 112), "int64", (1, 3, 80, 112)), None, True),
        (_signature((1, 1, 64, 64), "int64"), None, True),
        (_signature((None, 21, None, None), image=(None, 3, None, None)), 1, True),
        (_signature((1, 3, 64, 64)), 0, False),  # as well a picture
        (_signature((1, 1, 64, 64)), 0, False),  # depth, or text
        (_signature((1, 85, 4, 4)), 0, False),  # FastestDet
        (_signature((1, 64, 64), "int64", operators={"TopK": 1}), 0, False),
        (_signature((1, 21, 48, 64)), 0, False),
        (_signature((1, 21, 64, 64), metadata={"task": "detect"}), 0, False),
        (_signature((1, 84, 8400)), 0, False),
    ],
)
def test_a_segmenter_is_told_by_its_map(signature: ModelSignature, axis: int | None, is_one: bool) -> None:
    found = DEFINITION.recognise(signature)
    assert (found is not None) == is_one
    if found is not None:
        assert found.profile["axis"] == axis
        assert recognised(signature).task == "semantic"


def test_a_family_that_is_named_is_believed_or_refused() -> None:
    assert DEFINITION.recognise(_signature((1, 3, 64, 64)), "semantic-paddleseg") is not None
    assert DEFINITION.recognise(_signature(), "yolov8") is None
    with pytest.raises(ModelError, match="gives a map of scores"):
        DEFINITION.recognise(_signature((1, 84, 8400)), "semantic-torchvision")
    with pytest.raises(ModelError, match="gives a map of scores"):
        DEFINITION.recognise(_signature((1, 84, 8400), metadata=ULTRALYTICS))


def test_the_mean_is_of_classes_that_occur() -> None:
    """By hand: class 0 has 2 of 3 right, class 1 has 2 of 4, class 2 is neither labelled nor predicted."""
    labelled = np.array([[0, 0, 1], [1, 1, NO_CLASS]], np.uint16)
    found = np.array([[0, 0, 0], [1, 1, 1]], np.uint16)
    counts = counted(labelled, found, 3)
    assert counts.tolist() == [[2, 2, 0], [2, 3, 0], [3, 2, 0]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_score_is_that_of_one_confusion_matrix(seed: int) -> None:
    """As mmsegmentation's IoUMetric and Ultralytics' SemanticMetrics add one up, pixel by pixel."""
    rng = np.random.default_rng(seed)
    labelled, found = (rng.integers(0, 5, (3, 6, 7)).astype(np.uint16) for _ in range(2))
    labelled[rng.random(labelled.shape) < 0.2] = NO_CLASS
    matrix = np.zeros((6, 6))
    for ours, theirs in zip(labelled.flat, found.flat, strict=True):
        if ours != NO_CLASS:
            matrix[ours, theirs] += 1
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    expected = np.mean([matrix[i, i] / union[i] for i in range(6) if union[i]])
    from calibrant.tasks.semantic.evidence import PixelCounts

    table = np.array([counted(ours, theirs, 6) for ours, theirs in zip(labelled, found, strict=True)])
    counts = PixelCounts(*(table[:, index] for index in range(3)))
    assert counts.resample(np.ones((1, 3), np.int64))[0] == pytest.approx(expected, abs=1e-12)
    again = PixelCounts.from_arrays(counts.to_arrays())
    assert np.array_equal(again.right, counts.right)


def test_evidence_that_is_none_is_refused() -> None:
    good = {name: np.zeros((2, 3), np.int64) for name in ("right", "labelled", "predicted")}
    for name, bad in (("right", np.zeros(2, np.int64)), ("labelled", -np.ones((2, 3), np.int64))):
        with pytest.raises(ValueError, match="arrays"):
            DEFINITION.evidence_from({**good, name: bad})
    with pytest.raises(KeyError):
        DEFINITION.evidence_from({"right": good["right"]})


def test_scores_are_brought_to_the_images_size_before_the_greatest_is_taken() -> None:
    """Half the way between two cells both scores are equal, and the first class stands."""
    scores = np.array([[[4.0, 0.0]], [[0.0, 4.0]]], np.float32)
    found = of_scores(scores, FAMILIES["torchvision"], (4, 8), (1, 8))
    assert found.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    broken = np.array([[[np.nan, 1.0]], [[0.0, 2.0]]], np.float32)
    assert of_scores(broken, FAMILIES["torchvision"], (1, 2), (1, 2)).tolist() == [[1, 1]]


def test_a_letterbox_is_cut_off_again() -> None:
    """A picture twice as wide as high lies in the middle of a square input."""
    how, size = FAMILIES["ultralytics"], (20, 40)
    place = placed(size, how, (64, 64))
    assert (place.top, place.left, place.height, place.width) == (16, 0, 32, 64)
    tensor = prepared(np.zeros((*size, 3), np.uint8), how, (64, 64))
    assert tensor[0, :, :16].min() == pytest.approx(114 / 255)
    assert not tensor[0, :, 16:48].any()
    found = np.full((64, 64), 7)
    found[16:48] = np.arange(64) >= 32
    assert of_classes(found, how, (64, 64), size).tolist() == [[0] * 20 + [1] * 20] * 20
    assert of_classes(np.full((8, 8), -1), how, (64, 64), size).min() == NO_CLASS


def test_a_models_map_becomes_one_of_the_images_size(tmp_path: Path) -> None:
    samples, _ = open_masks(_set(tmp_path))
    scores = np.zeros((1, 4, 64, 64), np.float32)
    scores[0, 2] = 1
    assert (_task().interpret({"map": scores}, samples[0]).classes == 2).all()
    last = _task(_signature((1, 64, 64, 4)))
    assert (last.interpret({"map": scores.transpose(0, 2, 3, 1)}, samples[0]).classes == 2).all()
    numbers = _task(_signature((1, 64, 64), "uint8", metadata=ULTRALYTICS))
    numbers.check({"map": np.ones((1, 64, 64), np.uint8)}, samples[0])
    assert (numbers.interpret({"map": np.ones((1, 64, 64), np.uint8)}, samples[0]).classes == 1).all()
    for wrong in (scores[:, :3], scores[0], np.zeros((2, 4, 64, 64), np.float32)):
        with pytest.raises(ModelError):
            _task().interpret({"map": wrong}, samples[0])
    with pytest.raises(ModelError, match="of the input's shape"):
        _task().check({"map": scores[:, :, :32]}, samples[0])
    told, png = _task().picture({"map": scores}, samples[0]) or ("", b"")
    assert told == "of its pixels 2 100 %"
    assert png.startswith(b"\x89PNG")


def test_a_set_is_opened_with_its_masks(tmp_path: Path) -> None:
    signature = _signature()
    found = DEFINITION.recognise(signature)
    assert found is not None
    _set(tmp_path)
    write_image(tmp_path / "images" / "val" / "bare.png", *SIZE[::-1])
    opened = DEFINITION.open_test(str(tmp_path), found, SemanticOptions(), Reading())
    assert [sample.id for sample in opened.samples] == ["0.png", "1.png", "2.png", "3.png"]
    assert opened.facts == {"masks": 4}
    assert "1 of 5 images have no mask, e.g. 'bare.png'" in opened.warnings[0]
    task = DEFINITION.bind({MODEL: signature}, found, SemanticOptions(), opened)
    look = task.describe(opened.samples[0])
    assert look is not None
    assert {name for kind, name in look.features if kind == "class"} == {"0", "1", "2", "3"}
    with pytest.raises(ClassMismatchError, match="has the value 255 and the model 4 classes"):
        DEFINITION.open_test(str(tmp_path), found, SemanticOptions(ignore_label=254), Reading())
    with pytest.raises(DataError, match="no pixel of the masks"):
        DEFINITION.open_test(str(tmp_path), found, SemanticOptions(first_label=200), Reading())


def test_values_below_the_first_do_not_count() -> None:
    values = np.array([0, 1, 150, 255], np.uint16)
    assert MaskValues(1, 255).classes_of(values).tolist() == [NO_CLASS, 0, 149, NO_CLASS]


@pytest.mark.parametrize("mode", ["P", "L", "I;16", "1"])
def test_a_mask_is_read_as_numbers_whatever_its_colours(mode: str, tmp_path: Path) -> None:
    numbers = np.arange(2).repeat(6).reshape(3, 4)
    if mode == "I;16":
        picture = Image.fromarray((numbers * 300).astype(np.uint16))
    elif mode == "1":
        picture = Image.fromarray(numbers.astype(bool))
    else:
        picture = Image.fromarray(numbers.astype(np.uint8))
    if mode == "P":
        picture = picture.convert("P")
        picture.putdata(numbers.reshape(-1).tolist())
        picture.putpalette([200, 0, 0, 0, 200, 0] + [9] * 762)
    picture.save(tmp_path / "mask.png")
    assert read_numbers(tmp_path / "mask.png").tolist() == (numbers * (300 if mode == "I;16" else 1)).tolist()


def test_what_is_no_set_of_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        open_masks(tmp_path / "gone")
    with pytest.raises(DataError, match="has no folder of images"):
        open_masks(tmp_path)
    _set(tmp_path, 1)
    mask = tmp_path / "masks" / "val" / "0.png"
    write_image(mask, *SIZE[::-1])
    with pytest.raises(ImageError, match="is a picture of colours"):
        read_numbers(mask)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(mask)
    with pytest.raises(
        DataError, match=r"1 of 1 masks are not of their image's size, e.g. '0.png: 40x24, 8x8'"
    ):
        open_masks(tmp_path)
    mask.write_bytes(mask.read_bytes()[:40])
    with pytest.raises(ImageError, match=r"0\.png"):
        open_masks(tmp_path)
    mask.rename(mask.with_name("other.png"))
    with pytest.raises(DataError, match=r"no image in .* has a mask of its name"):
        open_masks(tmp_path)


def test_cityscapes_names_fit_together(tmp_path: Path) -> None:
    images, masks = tmp_path / "leftImg8bit" / "val" / "ulm", tmp_path / "gtFine" / "val" / "ulm"
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    write_image(images / "ulm_1_leftImg8bit.png", *SIZE[::-1])
    for ending in ("color", "instanceIds", "labelIds", "labelTrainIds"):
        Image.fromarray(_mask(1)).save(masks / f"ulm_1_gtFine_{ending}.png")
    (sample,), _ = open_masks(tmp_path)
    assert sample.mask.name == "ulm_1_gtFine_labelTrainIds.png"


def test_differences_tell_which_class_became_which(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    mask = np.zeros(SIZE, np.uint8)
    mask[:, 20:] = 1
    write_image(tmp_path / "images" / "a.png", *SIZE[::-1])
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    samples, _ = open_masks(tmp_path)
    task, ours = _task(), _plain_map(samples[0])
    changed = ours.classes.copy()
    changed[:, 20:32] = 3
    evaluated = [Evaluated([found], task.score(samples, [found])) for found in (ours, ClassMap(changed))]
    found = task.differences("minmax", samples, *evaluated)
    assert (found.changed, found.broken, found.fixed) == (30.0, 30.0, 0.0)
    assert [(flip.reference, flip.candidate, flip.pixels) for flip in found.flips] == [("1", "3", 30.0)]
    assert [(row.name, row.reference, row.candidate) for row in found.classes] == [
        ("1", 100.0, 40.0),
        ("0", 100.0, 100.0),
    ]
    (image,) = found.worst_images
    assert [(part.label, part.fate) for part in image.reference] == [("0", "kept"), ("1", "lost")]
    assert [(part.label, part.fate) for part in image.candidate] == [
        ("0", "kept"),
        ("3", "gained"),
        ("1", "kept"),
    ]
    assert "30.00 % of the pixels" in found.sentence()
    assert "1 100.0 -> 40.0 %" in "\n".join(difference_lines(found))
    assert "all pixels" in replace(found, flips=()).sentence()
