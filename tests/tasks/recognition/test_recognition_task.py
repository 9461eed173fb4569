"""Text recognition as a task: what it recognises, reads, scores and tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError
from calibrant.core.metrics import loss
from calibrant.core.tasks import MODEL, Evaluated, Reading
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.tasks.recognition import RecognitionDefinition
from calibrant.tasks.recognition.definition import RecognitionOptions
from calibrant.tasks.recognition.score import CER
from calibrant.tasks.recognition.task import RecognitionTask
from calibrant.tasks.recognition.types import Line, LineSample
from calibrant.testing import TaskConformance
from label_files import write_image

DEFAULTS = RecognitionOptions()
KEYS = "\n".join("abcdefghij")
DEFINITION = RecognitionDefinition()
TEXTS = ("abc", "aabb", "c", "abcabcabc j")


def _signature(
    image: tuple[int | None, ...] = (None, 3, 48, None),
    output: tuple[int | None, ...] = (None, None, 12),
    metadata: Mapping[str, str] | None = None,
) -> ModelSignature:
    return ModelSignature(
        (TensorInfo("x", image, "float32"),), (TensorInfo("out", output, "float32"),), {}, {},
        {"character": KEYS} if metadata is None else metadata,
    )  # fmt: skip


class _Session:
    """Gives the steps of a text, whatever the image."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.fed: NDArray[Any] = np.zeros(0)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.fed = feeds["x"]
        steps = [step for character in self.text for step in (" abcdefghij".index(character), 0)]
        return {"out": np.eye(12, dtype=np.float32)[steps][None]}


def _task(options: RecognitionOptions = DEFAULTS) -> RecognitionTask:
    signature = _signature()
    found = DEFINITION.recognise(signature)
    assert found is not None
    return DEFINITION.bind({MODEL: signature}, found, options)


def _samples(folder: Path) -> list[LineSample]:
    return [
        LineSample(str(index), write_image(folder / f"{index}.png", 60, 20), text)
        for index, text in enumerate(TEXTS)
    ]


def _lines(*texts: str) -> list[Line]:
    return [Line(text, 0.5) for text in texts]


@pytest.mark.parametrize(
    ("signature", "is_one"),
    [
        (_signature(), True),
        (_signature((None, 3, None, None)), True),  # PP-OCRv4: the height is open, too
        (_signature(output=()), True),  # PP-OCRv5 in a wheel: nothing is said of the output
        (_signature(output=(), metadata={}), True),
        (_signature((1, 1, 32, 100), (26, 1, 37), {}), True),
        (_signature((1, 3, 224, 224), (1, 4), {"character": "0\n90\n180\n270"}), False),  # page orientation
        (_signature((1, 3, 80, 160), (), {}), False),  # line orientation
        (_signature((1, 3, 640, 640), (1, 84, 8400), {}), False),  # a detector
        (_signature((1, 3, None, None), (1, None, 6), {}), False),
    ],
)
def test_recognizers_are_told_by_their_shape_and_characters(signature: ModelSignature, is_one: bool) -> None:
    assert (DEFINITION.recognise(signature) is not None) == is_one


def test_a_family_that_is_named_is_believed_or_refused() -> None:
    assert DEFINITION.recognise(_signature((1, 3, 96, 96), (1, 9, 12), {}), "ctc") is not None
    assert DEFINITION.recognise(_signature(), "yolov8") is None
    with pytest.raises(ModelError, match="takes one image and gives one output"):
        DEFINITION.recognise(_signature(output=(1, 12)), "ctc")


def test_a_line_goes_in_as_wide_as_it_is_and_comes_out_as_text(tmp_path: Path) -> None:
    sample = LineSample("a", write_image(tmp_path / "a.png", 400, 20, shade=255), "abc")
    task, session = _task(), _Session("abc")
    raw = task.drive({MODEL: session}, [sample])[0]  # type: ignore[dict-item]
    assert session.fed.shape == (1, 3, 48, 960)
    assert task.interpret(raw, sample).text == "abc"
    assert task.interpret({"out": raw["out"].transpose(1, 0, 2)}, sample).text == "abc"


def test_outputs_and_characters_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    sample, task = _samples(tmp_path)[0], _task()
    with pytest.raises(ModelError, match="one output"):
        task.check({"out": np.zeros((1, 4), np.float32)}, sample)
    with pytest.raises(ModelError, match="7 classes but"):
        task.check({"out": np.zeros((1, 4, 7), np.float32)}, sample)
    unknown = DEFINITION.recognise(_signature(metadata={}))
    assert unknown is not None
    bare = DEFINITION.bind({MODEL: _signature(metadata={})}, unknown, RecognitionOptions())
    with pytest.raises(ModelError, match="--characters"):
        bare.check({"out": np.zeros((1, 4, 12), np.float32)}, sample)


def test_the_error_rate_is_edits_by_characters(tmp_path: Path) -> None:
    """By hand: 0 + 2 + 1 + 0 edits of 3 + 4 + 1 + 11 characters; a third line alone loses more than all."""
    samples, task = _samples(tmp_path), _task()
    score = task.score(samples, _lines("abc", "ab", "abc"[:0], "abcabcabc j"))
    assert score.value == pytest.approx(3 / 19)
    figures = {figure.name: figure.value for figure in score.figures}
    assert figures["exact lines"] == 50
    assert figures["empty lines"] == 25
    weights = np.array([[1, 1, 1, 1], [0, 0, 3, 0], [0, 2, 0, 1], [0, 0, 0, 0]])
    assert score.evidence.resample(weights)[:3] == pytest.approx([3 / 19, 1, 4 / 19])
    assert np.isnan(score.evidence.resample(weights)[3])
    assert loss(score.value, 4 / 19, CER) == pytest.approx(100 / 19)


def test_a_model_may_be_wrong_by_more_than_all(tmp_path: Path) -> None:
    samples, task = _samples(tmp_path)[2:3], _task()
    assert task.score(samples, _lines("abab")).value == 4


def test_normalised_texts_are_compared(tmp_path: Path) -> None:
    task = _task(RecognitionOptions(normalise="no-spaces"))
    samples = _samples(tmp_path)
    assert task.score(samples, _lines("a bc", "aabb", "c", "abcabcabcj")).value == 0


def test_agreement_needs_no_labels() -> None:
    task = _task()
    assert task.agreement(_lines("abcd", "x"), _lines("abcd", "x")) == 1
    assert task.agreement(_lines("abcd", ""), _lines("abce", "")) == pytest.approx(0.75)
    assert task.agreement(_lines(""), _lines("")) == 1


def test_predictions_and_evidence_come_back_as_they_were(tmp_path: Path) -> None:
    task, lines = _task(), _lines("aé", "", "第一")
    assert task.unpack(task.pack(lines)) == lines
    score = task.score(_samples(tmp_path), _lines(*TEXTS[:3], "a"))
    arrays = score.evidence.to_arrays()  # type: ignore[attr-defined]
    weights = np.array([[1, 2, 3, 4]])
    assert DEFINITION.evidence_from(arrays).resample(weights) == score.evidence.resample(weights)
    with pytest.raises(ValueError, match="counts"):
        DEFINITION.evidence_from({**arrays, "edits": np.array([-1])})


def test_differences_name_what_is_read_otherwise(tmp_path: Path) -> None:
    samples, task = _samples(tmp_path), _task()
    before, after = _lines("abc", "aabb", "b", "abcabcabc j"), _lines("abc", "aacc", "c", "abcabcabcj")
    told = task.differences(
        "entropy2",
        samples,
        Evaluated(before, task.score(samples, before)),
        Evaluated(after, task.score(samples, after)),
    )
    assert (told.lines, told.changed, told.broken, told.fixed) == (4, 3, 2, 1)
    assert (told.confusions[0].written, told.confusions[0].read, told.confusions[0].candidate) == (
        "b",
        "c",
        2,
    )
    assert told.worst_lines[0].line == "1"
    spaces = next(group for group in told.groups if group.name == "spaces")
    assert (spaces.reference, spaces.candidate) == (0, 100)
    assert "2 that were right are wrong" in told.sentence()


def test_test_sets_say_what_the_model_cannot_read(tmp_path: Path) -> None:
    for index in range(2):
        write_image(tmp_path / f"{index}.png", 60, 20)
    (tmp_path / "labels.txt").write_text("0.png\tab\n1.png\tz\n", encoding="utf-8")
    found = DEFINITION.recognise(_signature())
    assert found is not None
    test = DEFINITION.open_test(str(tmp_path), found, RecognitionOptions(), Reading())
    assert test.facts == {"characters": 3}
    assert "1 of 3 written characters are none of the model's, e.g. 'z'" in test.warnings[0]
    folder = DEFINITION.open_calibration(str(tmp_path), found, RecognitionOptions(), Reading(limit=1))
    listed = DEFINITION.open_calibration(str(tmp_path / "labels.txt"), found, RecognitionOptions(), Reading())
    assert (len(folder.samples), len(listed.samples)) == (1, 2)
    assert DEFINITION.in_both(folder, test)
    with pytest.raises(DataError):
        DEFINITION.open_test(str(tmp_path / "missing"), found, RecognitionOptions(), Reading())


def test_a_line_is_described_by_its_characters_length_and_brightness(tmp_path: Path) -> None:
    look = _task().describe(LineSample("a", write_image(tmp_path / "a.png"), "Total: 12 第"))
    assert look is not None
    assert look.features["characters", "digits"] == 2
    assert look.features["characters", "Han"] == 1
    assert look.features["length", "11 to 20"] == 1
    assert look.features["brightness", "very dark"] == 1


class TestRecognitionConforms(TaskConformance):
    task = _task()
    best, worst = 0.0, 1.0

    def samples(self) -> list[LineSample]:
        return [LineSample(text, Path(f"{text}.png"), text) for text in TEXTS]

    def perfect(self, sample: LineSample) -> Line:
        return Line(sample.text, 1.0)

    def nothing(self, sample: LineSample) -> Line:
        del sample
        return Line("", 0.0)
