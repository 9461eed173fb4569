"""Image classification: data, preparation, scores and what is told of two models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import ClassMismatchError, DataError, ModelError, SettingsError
from calibrant.core.own_metric import ScoredBy, metric
from calibrant.core.tasks import MODEL, Evaluated, Reading
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.classification import ClassificationDefinition
from calibrant.tasks.classification.classes import class_names, match_classes
from calibrant.tasks.classification.definition import ClassificationOptions
from calibrant.tasks.classification.labels import open_labels
from calibrant.tasks.classification.preprocess import prepared
from calibrant.tasks.classification.profile import FAMILIES, Preparation, preparation_in, read_preparation
from calibrant.tasks.classification.task import ClassificationTask, probabilities_of
from calibrant.tasks.classification.types import ClassScores, LabelledImage
from calibrant.testing import TaskConformance
from label_files import write_image

GOLDENS = json.loads(Path(__file__).with_name("prepared_by_others.json").read_text("utf-8"))
DEFINITION = ClassificationDefinition()
DEFAULTS = ClassificationOptions()


def _signature(
    output: tuple[int | None, ...] = (1, 3), metadata: Mapping[str, str] | None = None, side: int | None = 8
) -> ModelSignature:
    return ModelSignature(
        (TensorInfo("x", (None, 3, side, side), "float32"),), (TensorInfo("y", output, "float32"),), {}, {},
        metadata or {},
    )  # fmt: skip


def _folders(root: Path) -> Path:
    for name in ("cat", "ant", "bee"):
        for index in range(2):
            write_image(root / name / f"{index}.png", 12, 10, shade=10 * index)
    return root


def _task(root: Path) -> tuple[ClassificationTask, list[LabelledImage]]:
    found = DEFINITION.recognise(_signature())
    assert found is not None
    test = DEFINITION.open_test(str(_folders(root)), found, DEFAULTS, Reading())
    return DEFINITION.bind({MODEL: _signature()}, found, DEFAULTS, test), list(test.samples)


def _found(*tops: int) -> list[ClassScores]:
    rows = np.full((len(tops), 3), 0.1, np.float32)
    rows[np.arange(len(tops)), list(tops)] = 0.8
    return [ClassScores(row) for row in rows]


# --- recognition -----------------------------------------------------------------------------------


def test_a_row_of_scores_is_a_classifiers() -> None:
    assert DEFINITION.recognise(_signature((1, 84, 100))) is None
    assert DEFINITION.recognise(_signature((None, None))) is None
    assumed = DEFINITION.recognise(_signature())
    told = DEFINITION.recognise(
        _signature(metadata={"task": "classify", "names": "{0: 'a', 1: 'b', 2: 'c'}"})
    )
    paddle = DEFINITION.recognise(_signature((None, 4), {"character": "0\n90\n180\n270"}))
    named = DEFINITION.recognise(_signature(), "timm")
    assert [found and found.family for found in (assumed, told, paddle, named)] == [
        "torchvision", "ultralytics", "paddleclas", "timm",
    ]  # fmt: skip
    assert assumed is not None
    assert "assumed" in assumed.why
    assert told is not None
    assert told.detail == ("a", "b", "c")
    with pytest.raises(ModelError, match="a classifier takes one colour image"):
        DEFINITION.recognise(_signature((1, 84, 100)), "timm")


def test_an_open_size_has_to_be_said() -> None:
    found = DEFINITION.recognise(_signature(side=None))
    assert found is not None
    with pytest.raises(ModelError, match="--input-shape"):
        DEFINITION.bind({MODEL: _signature(side=None)}, found, DEFAULTS)


# --- data ------------------------------------------------------------------------------------------


def test_folders_are_classes_in_order_of_their_names(tmp_path: Path) -> None:
    plain = open_labels(_folders(tmp_path / "plain"))
    split = open_labels(_folders(tmp_path / "split" / "val").parent)
    assert plain.classes == split.classes == ("ant", "bee", "cat")
    assert [sample.id for sample in split.samples] == [
        f"{name}/{i}.png" for name in plain.classes for i in "01"
    ]
    assert [sample.label for sample in open_labels(tmp_path / "plain", 4).samples] == [0, 1, 2, 0]


def test_a_table_names_images_and_classes(tmp_path: Path) -> None:
    _folders(tmp_path)
    (tmp_path / "set.csv").write_text("image,label\ncat/0.png,cat\nant/1.png,ant\n", encoding="utf-8")
    found = open_labels(tmp_path / "set.csv")
    assert found.classes == ("ant", "cat")
    assert [(sample.id, sample.label) for sample in found.samples] == [("cat/0.png", 1), ("ant/1.png", 0)]
    (tmp_path / "numbers.csv").write_text("image,class\ncat/0.png,10\nant/1.png,9\n", encoding="utf-8")
    assert open_labels(tmp_path / "numbers.csv").classes == ("9", "10")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,label\nz.png,cat\n", "do not exist"),
        ("image,kind\ncat/0.png,cat\n", "name one of them label"),
        ("image,label\ncat/0.png,\n", "lack a cell"),
        ("image,label\n", "no rows"),
    ],
)
def test_tables_that_cannot_be_right_are_refused(text: str, told: str, tmp_path: Path) -> None:
    _folders(tmp_path)
    (tmp_path / "set.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        open_labels(tmp_path / "set.csv")


def test_classes_are_matched_by_name_number_or_order() -> None:
    assert match_classes(("bee", "ant"), 3, ("Ant", "bee", "cat")) == (1, 0)
    assert match_classes(("2", "0"), 3, None) == (2, 0)
    assert match_classes(("x", "y", "z"), 3, None) == (0, 1, 2)
    with pytest.raises(ClassMismatchError, match=r"3 classes and the labels 2, and e\.g\. 'dog'"):
        match_classes(("ant", "dog"), 3, ("ant", "bee", "cat"))
    assert class_names({"names": "{0: 'a', 1: 'b'}"}) == ("a", "b")
    assert class_names({"names": "__import__('os')"}) is None


def test_class_names_may_come_from_a_file(tmp_path: Path) -> None:
    found = DEFINITION.recognise(_signature((1, 4)))
    assert found is not None
    (tmp_path / "names.txt").write_text("zoo\nbee\ncat\nant\n", encoding="utf-8")
    options = ClassificationOptions(classes=str(tmp_path / "names.txt"))
    test = DEFINITION.open_test(str(_folders(tmp_path / "set")), found, options, Reading())
    assert test.detail[1] == (3, 1, 2)
    (tmp_path / "names.txt").write_text("zoo\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="names 1 classes and the model has 4"):
        DEFINITION.open_test(str(tmp_path / "set"), found, options, Reading())


# --- preparation -----------------------------------------------------------------------------------


def test_the_middle_is_cut_out_of_the_resized_image() -> None:
    """An image with a white middle third: at 0.5 the crop is the middle half, so its corners are black."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 24:40] = 255
    tensor = prepared(image, Preparation(0.5, "nearest", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 16, 16)
    assert tensor.shape == (1, 3, 16, 16)
    assert (tensor[0, 0] == 1).all()
    stretched = prepared(image, FAMILIES["stretched"], 16, 16)
    assert stretched[0, 0, 8, 0] == -1
    assert stretched[0, 0, 8, 8] == 1


def test_red_comes_first_and_has_its_own_mean() -> None:
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 0] = 255
    tensor = prepared(blue, FAMILIES["torchvision"], 8, 8)[0, :, 4, 4]
    assert tensor == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, (1 - 0.406) / 0.225], abs=1e-6)


def test_files_of_timm_and_transformers_tell_the_preparation(tmp_path: Path) -> None:
    timm, transformers, own = (
        tmp_path / name for name in ("config.json", "preprocessor_config.json", "own.yaml")
    )
    config = {"crop_pct": 0.95, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}
    timm.write_text(json.dumps({"architecture": "x", "pretrained_cfg": config}))
    transformers.write_text(
        json.dumps(
            {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "resample": 3,
             "size": {"shortest_edge": 256}, "crop_size": {"height": 224}}
        )
    )  # fmt: skip
    own.write_text("crop_share: 0\nrgb: false\nmean: [0, 0, 0]\n")
    assert read_preparation(timm) == Preparation(0.95, "bilinear", (0.5,) * 3, (0.5,) * 3)
    assert read_preparation(transformers) == Preparation(0.875, "bicubic", (0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    assert read_preparation(own) == Preparation(crop_share=0, rgb=False, mean=(0.0, 0.0, 0.0))
    own.write_text("crop: 0\n")
    with pytest.raises(DataError, match="'crop'"):
        read_preparation(own)


# --- scores ----------------------------------------------------------------------------------------


def test_logits_become_probabilities_and_probabilities_stay() -> None:
    given = np.array([0.5, 0.25, 0.25], np.float32)
    assert np.array_equal(probabilities_of(given), given)
    assert probabilities_of(np.log(given) + 3) == pytest.approx(given, abs=1e-6)
    assert np.isfinite(probabilities_of(np.array([np.nan, 1], np.float32))).all()


def test_accuracy_is_the_share_of_right_images(tmp_path: Path) -> None:
    task, samples = _task(tmp_path)
    score = task.score(samples, _found(0, 0, 1, 2, 2, 0))
    assert score.value == pytest.approx(4 / 6)
    figures = {figure.name: figure.value for figure in score.figures}
    assert figures["top-5"] == 100
    assert figures["worst class"] == 50
    weights = np.array([[1] * 6, [0, 0, 0, 2, 0, 1], [0, 0, 0, 3, 0, 0], [0] * 6])
    assert score.evidence.resample(weights)[:3] == pytest.approx([4 / 6, 0, 0])
    assert np.isnan(score.evidence.resample(weights)[3])
    arrays = score.evidence.to_arrays()  # type: ignore[attr-defined]
    assert DEFINITION.evidence_from(arrays).resample(weights[:1]) == score.evidence.resample(weights[:1])


def test_predictions_come_back_and_agree_with_themselves(tmp_path: Path) -> None:
    task, _ = _task(tmp_path)
    found = _found(0, 1, 2)
    again = task.unpack(task.pack(found))
    assert all(np.array_equal(a.probabilities, b.probabilities) for a, b in zip(found, again, strict=True))
    assert task.agreement(found, again) == pytest.approx(1)
    assert task.agreement(_found(0), _found(1)) == pytest.approx(0.3)


def test_outputs_that_are_no_scores_are_refused(tmp_path: Path) -> None:
    task, samples = _task(tmp_path)
    with pytest.raises(ModelError, match="one score for each class"):
        task.check({"y": np.zeros((1, 5), np.float32)}, samples[0])


def test_differences_name_the_classes_that_change(tmp_path: Path) -> None:
    task, samples = _task(tmp_path)
    before, after = _found(0, 0, 1, 1, 2, 0), _found(0, 1, 1, 2, 2, 2)
    told = task.differences(
        "minmax",
        samples,
        Evaluated(before, task.score(samples, before)),
        Evaluated(after, task.score(samples, after)),
    )
    assert (told.images, told.changed, told.broken, told.fixed) == (6, 3, 2, 1)
    assert {(flip.label, flip.reference, flip.candidate) for flip in told.flips} == {
        ("ant", "ant", "bee"), ("bee", "bee", "cat"), ("cat", "ant", "cat"),
    }  # fmt: skip
    assert told.classes[0].name == "ant"
    assert "2 that were right are wrong" in told.sentence()


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    """The image of the goldens, BGR: stripes that no two ways of resizing make the same."""
    y, x, channel = np.ogrid[:height, :width, :3]
    stripes = x * x // 37 + y * y // 53 + channel * 80 + (x * y) // 61 * 5
    return np.asarray(stripes % 256, np.uint8)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden["by"].split()[0])
def test_inputs_are_those_of_the_libraries_that_train(golden: dict[str, Any]) -> None:
    """prepared_by_others.json: 48 values and the mean of tensors made by the libraries that it names."""
    told = golden["preparation"]
    preparation = FAMILIES[told] if isinstance(told, str) else preparation_in({"pretrained_cfg": told})
    tensor = prepared(_picture(*golden["image"]), preparation, *golden["input"])[0]
    rows, columns = (np.linspace(0, side - 1, 4).astype(int) for side in golden["input"])
    assert tensor[:, rows][:, :, columns].ravel() == pytest.approx(golden["values"], abs=2e-5)
    assert tensor.mean(dtype=np.float64) == pytest.approx(golden["mean"], abs=2e-6)


def test_a_way_to_crop_that_is_not_known_is_refused() -> None:
    with pytest.raises(SettingsError, match="crop_mode 'border'"):
        preparation_in({"pretrained_cfg": {"crop_pct": 0.9, "crop_mode": "border"}})


# --- what every task has to do ---------------------------------------------------------------------


class TestClassificationConforms(TaskConformance):
    best, worst = 1.0, 0.0

    @pytest.fixture(autouse=True)
    def _made(self, tmp_path: Path) -> None:
        self.task, self._samples = _task(tmp_path)

    def samples(self) -> list[LabelledImage]:
        return self._samples

    def perfect(self, sample: LabelledImage) -> ClassScores:
        return _found(sample.label)[0]

    def nothing(self, sample: LabelledImage) -> ClassScores:
        return _found((sample.label + 1) % 3)[0]


class TestClassificationScoredByAMetricOfOnesOwnConforms(TestClassificationConforms):
    best, worst = 0.2, 0.9

    @pytest.fixture(autouse=True)
    def _made(self, tmp_path: Path) -> None:
        task, self._samples = _task(tmp_path)
        unsure = metric(direction="minimize")(lambda sample, found: 1 - found.probabilities[sample.label])
        self.task = ScoredBy(task, unsure)
        self.best, self.worst = (float(np.float64(1 - np.float32(sure))) for sure in (0.8, 0.1))
