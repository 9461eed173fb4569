"""Reading a page as a task: what it recognises, drives, scores and tells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError
from calibrant.core.tasks import Evaluated, ModelFolder, Reading
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.reports.tasks.page import difference_lines
from calibrant.tasks.media.pages import PageSample, Region
from calibrant.tasks.media.samples import CalibrationSample
from calibrant.tasks.page import PageDefinition
from calibrant.tasks.page.definition import PageOptions
from calibrant.tasks.page.lines import cut_out, in_reading_order
from calibrant.tasks.page.task import PageTask
from calibrant.tasks.page.types import PageText
from calibrant.tasks.recognition.types import Line
from calibrant.tasks.text_detection.types import Outlines, no_outlines
from calibrant.testing import TaskConformance

DEFINITION = PageDefinition()
KEYS = "abcdefghij"


def _signature(shape: tuple[int | None, ...], metadata: Mapping[str, str] | None = None) -> ModelSignature:
    return ModelSignature((TensorInfo("x", shape, "float32"),), (), {}, {}, metadata or {})


DET, CLS = _signature((None, 3, None, None)), _signature((None, 3, None, None))
REC = _signature((None, 3, 48, None), {"character": "\n".join(KEYS)})
ALL = {"det": DET, "cls": CLS, "rec": REC}


def _folder(path: Path = Path("m"), files: Mapping[str, Path] | None = None) -> ModelFolder:
    return ModelFolder(path, {name: path / f"{name}.onnx" for name in ALL}, files or {}, "RapidOCR")


def _task(parts: Mapping[str, ModelSignature] = ALL, **options: Any) -> PageTask:
    found = DEFINITION.recognise_folder(parts, _folder())
    assert found is not None
    return DEFINITION.bind(parts, found, PageOptions(**options))


def _rectangle(top: float, left: float = 0) -> NDArray[np.float32]:
    return np.array([[left, top], [left + 100, top], [left + 100, top + 20], [left, top + 20]], np.float32)


def _text(*lines: tuple[float, str]) -> PageText:
    if not lines:
        return PageText(no_outlines(), ())
    outlines = Outlines(np.stack([_rectangle(top) for top, _ in lines]), np.ones(len(lines)))
    return PageText(outlines, tuple(Line(text, 0.9) for _, text in lines))


def _page(*regions: tuple[float, str], name: str = "a") -> PageSample:
    return PageSample(
        name, Path(name), tuple(Region(_rectangle(t), text, text == "###") for t, text in regions)
    )


class _Detector:
    """Finds bars of 8 x 60 pixels at two heights, on an input of the page's size."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        scores = np.zeros((1, 1, *feeds["x"].shape[2:]), np.float32)
        for top in (800, 100):
            scores[0, 0, top : top + 40, 300:900] = 0.9
        return {"map": scores}


class _Reader:
    """Reads "ab" in what is bright on the left, "ba" in what is bright on the right."""

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        left, right = np.array_split(feeds["x"][0, 0, :, :320], 2, axis=1)
        text = "ab" if left.mean() > right.mean() else "ba"
        return {"y": np.eye(12, dtype=np.float32)[[1 + KEYS.index(character) for character in text]][None]}


class _Turner:
    """Tells of every line that it is upside down, with a confidence."""

    def __init__(self, sure: float) -> None:
        self.sure, self.shapes = sure, [(0, 0)]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.shapes.append(feeds["x"].shape[2:])
        return {"z": np.array([[1 - self.sure, self.sure]], np.float32)}


def _image(path: Path) -> Path:
    """A page on which the left half of every line is bright."""
    page = np.zeros((900, 900, 3), np.uint8)
    page[:, :600] = 255
    cv2.imwrite(str(path), page)
    return path


def test_a_folder_with_a_detector_and_a_recognizer_reads_pages(tmp_path: Path) -> None:
    found = DEFINITION.recognise_folder(ALL, _folder())
    assert found is not None
    assert (found.family, found.profile["characters"]) == ("rapidocr", 10)
    assert DEFINITION.recognise(DET) is None
    assert DEFINITION.recognise_folder({"det": DET}, _folder()) is None
    assert DEFINITION.recognise_folder(ALL, _folder(), "whisper") is None
    paddle = DEFINITION.recognise_folder(ALL, _folder(files={"det/inference.yml": tmp_path}))
    assert paddle is not None
    assert paddle.family == "paddleocr"
    with pytest.raises(ModelError, match="has a part 'vocoder'"):
        DEFINITION.recognise_folder({**ALL, "vocoder": DET}, _folder())
    with pytest.raises(ModelError, match="part rec does not take one image"):
        DEFINITION.recognise_folder({"det": DET, "rec": _signature((1, 80))}, _folder())


def test_characters_may_lie_beside_the_parts(tmp_path: Path) -> None:
    bare = {"det": DET, "rec": _signature((None, 3, 48, None))}
    keys = tmp_path / "ppocr_keys_v5.txt"
    keys.write_text("\n".join(KEYS), encoding="utf-8")
    found = DEFINITION.recognise_folder(bare, _folder(files={"ppocr_keys_v5.txt": keys}))
    assert found is not None
    assert DEFINITION.bind(bare, found, PageOptions()).parts == ("det", "rec")
    nothing = DEFINITION.recognise_folder(bare, _folder())
    assert nothing is not None
    with pytest.raises(ModelError, match="--characters"):
        DEFINITION.bind(bare, nothing, PageOptions())


@pytest.mark.parametrize(("sure", "read"), [(0.95, "ba"), (0.85, "ab")])
def test_lines_are_cut_turned_and_read_in_order(tmp_path: Path, sure: float, read: str) -> None:
    sample, turner = CalibrationSample("a", _image(tmp_path / "a.png")), _Turner(sure)
    sessions: Any = {"det": _Detector(), "cls": turner, "rec": _Reader()}
    (found,) = _task().drive(sessions, [sample])
    assert [line.text for line in found.lines] == [read, read]
    assert found.outlines.corners[0, 0, 1] < 200 < found.outlines.corners[1, 0, 1]
    assert turner.shapes[-1] == (48, 192)
    task = _task({"det": DET, "rec": REC}, least_confidence=1.0)
    assert task.drive(sessions, [sample])[0].lines[0].text == "ab"
    assert task.interpret(found, sample) is found
    with pytest.raises(DataError, match="read from images"):
        task.drive(sessions, [CalibrationSample("b", array=np.zeros((1, 3, 8, 8), np.float32))])


def test_lines_are_read_from_left_to_right_within_a_few_pixels() -> None:
    corners = np.stack([_rectangle(55), _rectangle(9, 300), _rectangle(3, 600), _rectangle(12)])
    found = in_reading_order(Outlines(corners, np.arange(4.0)))
    assert found.scores.tolist() == [3, 1, 2, 0]
    assert len(in_reading_order(no_outlines())) == 0


def test_a_turned_line_is_cut_out_straight() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    corners = np.array([[20, 60], [140, 20], [150, 50], [30, 90]], np.float32)
    cv2.fillPoly(image, [corners.astype(np.int32)], (255, 255, 255))
    line = cut_out(image, corners)
    assert line.shape[:2] == (31, 126)
    assert line[3:-3, 3:-3].min() > 250
    assert cut_out(image, _rectangle(0)[[1, 2, 3, 0]]).shape == (20, 100, 3)


def test_errors_of_finding_and_of_reading_are_told_apart() -> None:
    """By hand: "abc" read as "abd" (1), "efgh" not found (4), "xy" on nothing (2), of 7 characters."""
    pages = [_page((0, "abc"), (40, "efgh"), (80, "###"))]
    score = _task().score(pages, [_text((0, "abd"), (80, "jj"), (200, "xy"))])
    assert score.value == pytest.approx(7 / 7)
    figures = {figure.name: figure.value for figure in score.figures}
    assert figures["misread"] == pytest.approx(100 / 7, abs=1e-3)
    assert figures["missed"] == pytest.approx(400 / 7, abs=1e-3)
    assert figures["invented"] == pytest.approx(200 / 7, abs=1e-3)
    assert figures["CER where found"] == pytest.approx(100 / 3, abs=1e-3)
    assert figures["hmean"] == 50  # one of two regions, one of two outlines
    assert DEFINITION.evidence_from(score.evidence.to_arrays()).resample(np.array([[2]]))[0] == score.value  # type: ignore[attr-defined]


def test_pages_come_back_and_agree_with_themselves() -> None:
    task, pages = _task(), [_text((0, "aé"), (40, "")), _text(), _text((0, "第一"))]
    again = task.unpack(task.pack(pages))
    assert [page.lines for page in again] == [page.lines for page in pages]
    assert task.agreement(pages, again) == 1
    assert task.agreement([_text((0, "abcd"), (40, "ef"))], [_text((0, "abce"))]) == pytest.approx(1 - 3 / 6)
    assert task.agreement([_text()], [_text()]) == 1
    with pytest.raises(ValueError, match="do not fit"):
        task.unpack({**task.pack(pages), "lines": np.array([1, 0, 1])})


def test_differences_tell_what_is_lost_new_and_read_otherwise() -> None:
    pages = [_page((0, "abc"), (40, "de"))]
    before, after = [_text((0, "abc"), (40, "de"))], [_text((0, "abd"), (200, "x"))]
    task = _task()
    told = task.differences(
        "minmax",
        pages,
        Evaluated(before, task.score(pages, before)),
        Evaluated(after, task.score(pages, after)),
    )
    assert (told.same, told.changed, told.lost, told.gained) == (0, 1, 1, 1)
    assert told.worst_pages[0].edits == 1 + 2 + 1
    assert [line.fate for line in told.worst_pages[0].candidate] == ["moved", "gained"]
    assert any("1 are lost and 1 read otherwise" in line for line in difference_lines(told))


def test_pages_are_opened_and_described(tmp_path: Path) -> None:
    _image(tmp_path / "a.png")
    row = [{"transcription": text, "points": _rectangle(0).tolist()} for text in ("a1", "###")]
    (tmp_path / "Label.txt").write_text(f"a.png\t{json.dumps(row)}\n", encoding="utf-8")
    found = DEFINITION.recognise_folder(ALL, _folder())
    assert found is not None
    test = DEFINITION.open_test(str(tmp_path), found, PageOptions(), Reading())
    assert test.facts == {"characters": 2, "regions": 1}
    calibration = DEFINITION.open_calibration(str(tmp_path), found, PageOptions(), Reading())
    assert DEFINITION.in_both(calibration, test)
    look = _task().describe(test.samples[0])
    assert look is not None
    assert look.features["characters", "digits"] == 1


class TestConformance(TaskConformance):
    task = _task()
    best, worst = 0.0, 1.0

    def samples(self) -> Sequence[PageSample]:
        return [_page((0, "abc"), (40, "d")), _page((0, "efg")), _page((0, "h"), (40, "###"))]

    def perfect(self, sample: PageSample) -> PageText:
        wanted = [one for one in sample.regions if not one.is_ignored]
        return _text(*((float(one.outline[0, 1]), one.text) for one in wanted))

    def nothing(self, sample: PageSample) -> PageText:
        return _text()
