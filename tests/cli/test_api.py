"""The Python API: the same as the command line, with functions as calibrators."""

from __future__ import annotations

import pkgutil
import sys
from pathlib import Path

import pytest
from outcomes import Run

import calibrant
from calibrant import CalibrantError, QuantSpec, Range, TensorStatistics
from calibrant.calibrators.registry import CALIBRATORS, NamedCalibrator
from calibrant.cli import cli


def whole(stats: TensorStatistics, spec: QuantSpec) -> Range:
    return Range(-stats.amax, stats.amax)


def failing(stats: TensorStatistics, spec: QuantSpec) -> Range:
    raise ZeroDivisionError("my own\nbug")


def test_everything_public_is_there() -> None:
    for name in calibrant.__all__:
        assert getattr(calibrant, name) is not None
    commands = set(cli.commands) - {
        "cache",
        "completion",
        "demo",
        "doctor",
        "runs",
        "skill",
        "sweep",
        "tasks",
    }
    assert len(commands) > 10
    assert commands <= set(calibrant.__all__)


def test_the_rooms_take_no_functions_place() -> None:
    rooms = {module.name for module in pkgutil.iter_modules(calibrant.__path__)}
    assert len(rooms) > 10
    assert rooms & set(calibrant.__all__) == set()


def test_the_four_functions_return_what_the_commands_print(work: Path) -> None:
    result = calibrant.study("m.onnx", "calib", "test", out="out", calibrators="minmax,percentile:90")
    assert result.baseline.score.value == 100
    assert [trial.calibrator for trial in result.ranking] == ["minmax", "percentile:90"]
    assert result.recommended is not None
    assert result.recommended.calibrator == "minmax"
    made = calibrant.calibrate("m.onnx", "calib", "made", calibrators=["minmax"])
    assert made.candidates[0].qdq is not None
    assert calibrant.evaluate(made.candidates[0].qdq, "test").score.value == 100
    assert calibrant.inspect("m.onnx").family == "yolov5"


def test_nothing_is_printed(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calibrant.study("m.onnx", "calib", "test", out="out", calibrators="minmax")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("calibrators", "names"),
    [
        ({"mine/../../x": whole, "Ünï": whole}, ["mine/../../x", "Ünï"]),
        (whole, ["whole"]),
        (["minmax", whole, "percentile:99|99.9"], ["minmax", "whole", "percentile:99", "percentile:99.9"]),
    ],
)
def test_functions_are_calibrators(work: Path, calibrators: object, names: list[str]) -> None:
    made = calibrant.calibrate("m.onnx", "calib", "out", calibrators=calibrators)  # type: ignore[arg-type]
    assert [candidate.calibrator for candidate in made.candidates] == names
    for candidate in made.candidates:
        assert candidate.qdq is not None
        assert Path(candidate.qdq).parent == Path("out")
        assert Path(candidate.qdq).is_file()


def test_a_calibrator_that_fails_costs_its_own_trial(work: Path) -> None:
    result = calibrant.study("m.onnx", "calib", "test", out="out", calibrators=[failing, "minmax"])
    failed = result.trial("failing")
    assert (failed.status, failed.files) == ("failed", None)
    assert failed.reason == "calibrator failing failed on 'images': ZeroDivisionError: my own bug"
    assert result.trial("minmax").status == "ok"


@pytest.mark.parametrize(
    "wrong", [None, (-1, 1), Range(float("nan"), 1), Range(1, -1), Range(0, float("inf"))]
)
def test_a_calibrator_that_returns_no_range_fails(work: Path, wrong: object) -> None:
    def odd(stats: TensorStatistics, spec: QuantSpec) -> object:
        return wrong

    made = calibrant.calibrate("m.onnx", "calib", "out", calibrators={"odd": odd})
    assert made.candidates[0].failure is not None
    assert "odd" in made.candidates[0].failure
    assert list(Path("out").iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"calibrators": []}, {"calibrators": [3]}, {"calibrators": {"mine": 5}}, {"limit": 0},
        {"calib_limit": 0}, {"imgsz": 0},
        {"confidence": -1}, {"iou": 1.5}, {"seed": -1}, {"runtime": "x"}, {"scheme": "x"}, {"family": "x"},
        {"exclude": "x"},
    ],
)  # fmt: skip
def test_wrong_settings_are_calibrants_errors(work: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(CalibrantError, match=r"^[^\n]+$"):
        calibrant.study("m.onnx", "calib", "test", out="out", **{"calibrators": "minmax", **wrong})  # type: ignore[arg-type]
    assert not Path("out").exists()


def test_calibrate_refuses_an_unknown_choice_of_tensors(work: Path) -> None:
    with pytest.raises(CalibrantError, match="'quantized' or 'all'"):
        calibrant.calibrate("m.onnx", "calib", "out", tensors="some")


def test_a_calibrator_is_found_by_its_entry_point(
    run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = work / "site" / "mine-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[calibrant.calibrators]\nhalf = own_calibrator:half\n")
    (work / "site" / "own_calibrator.py").write_text(
        "from calibrant import Range\n"
        "def half(stats, spec):\n    return Range(-stats.amax / 2, stats.amax / 2)\n"
    )
    monkeypatch.syspath_prepend(work / "site")
    monkeypatch.delitem(sys.modules, "own_calibrator", raising=False)
    answer = run("calibrate", "m.onnx", "--calib", "calib", "--out", "out", "--calibrators", "half,minmax")
    assert answer.code == 0
    scales = [(work / f"out/{name}.cache").read_text().split()[2] for name in ("half", "minmax")]
    assert scales == ["3b810204", "3c010204"]  # 1 / 254 and 1 / 127


@pytest.mark.parametrize("command", ["study", "calibrate"])
def test_when_every_candidate_fails_the_exit_code_says_so(
    run: Run, work: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(CALIBRATORS, "broken", lambda _: NamedCalibrator("broken", failing))
    data = ("--data", "test") if command == "study" else ()
    answer = run(command, "m.onnx", "--calib", "calib", "--out", "out", "--calibrators", "broken", *data)
    assert answer.code == 1
    assert "failed on 'images': ZeroDivisionError: my own bug" in answer.out
