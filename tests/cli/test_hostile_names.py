"""Names of files, classes, tensors and nodes are text, whatever is in them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import helper
from outcomes import Outcome, Run
from toy_detector import detector, saved

NAMES = (
    "\x1b[2J\x1b[31mred\u202eleft",
    "two\nlines: error: no",
    "<script>alert(1)</script>",
    "'; touch pwned; '$(touch pwned)",
    "../../pwned",
)


def is_calm(answer: Outcome) -> bool:
    """Whether the terminal got nothing to obey."""
    printed = answer.out + answer.err
    return all(line.replace("\u00a0", " ").isprintable() for line in printed.split("\n"))


def outside(work: Path) -> set[Path]:
    """What lies beside the test's folder."""
    return {path for path in work.parent.iterdir() if path.name != "caches"}


def renamed(name: str) -> onnx.ModelProto:
    """The detector with an activation, a node and the class names called so.

    A calibration cache cannot hold a line end; that is refused elsewhere.
    """
    tensor = name.replace("\n", "\r\t").replace("\r", "")
    model = detector()
    for node in model.graph.node:
        for values in (node.input, node.output):
            for position, value in enumerate(values):
                if value == "hue":
                    values[position] = tensor
    model.graph.node[0].name = f"{name} node"
    helper.set_model_props(model, {"names": repr({0: name, 1: "blue"}), "task": "detect"})
    return model


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_hostile_names(
    study: Run, run: Run, work: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALIBRANT_STORE", str(work / "runs.sqlite"))
    saved(renamed(name), work / "m.onnx")
    labels = json.loads((work / "test/labels.json").read_text())
    labels["categories"][0]["name"] = name
    (work / "test/labels.json").write_text(json.dumps(labels))
    before = outside(work)
    answers = [
        study(calibrators="minmax,percentile:50"),
        run("inspect", "m.onnx"),
        run("diagnose", "out"),
        run("cache", "show", "out/minmax.cache"),
        run("report", "out", "--markdown"),
        run("runs", "list"),
        run("runs", "show", json.loads(run("runs", "list", "--json").out)["runs"][0]["id"]),
        run("runs", "list", "--json"),
        run("inspect", "m.onnx", "--json"),
        run("evaluate", "m.onnx", "--data", "test"),
        run("calibrate", "m.onnx", "--calib", "calib", "--out", "other"),
        run("compare", "out", "out"),
        run("optimize", "out", "--budget", "1s", "--out", "best"),
    ]
    assert answers[0].code == 0
    assert [answer for answer in answers if not is_calm(answer)] == []
    page = (work / "out/report.html").read_text("utf-8")
    assert "<script>alert(1)" not in page
    summary = (work / "out/report.md").read_text("utf-8") if (work / "out/report.md").exists() else ""
    # Its own parts, scripts among them, are plain text; names must not turn or hide what stands there.
    assert not set(page + summary) & set("\x1b\u202e\u202d\u2066\u2067\u2068\u200e\u200f\u061c")
    assert outside(work) == before
    assert not list(work.rglob("pwned"))


@pytest.mark.parametrize("name", [n for n in NAMES if "/" not in n and "\0" not in n])
def test_files_with_hostile_names(study: Run, run: Run, work: Path, name: str) -> None:
    saved(detector(), work / f"{name}.onnx")
    image = work / "calib/1-00.png"
    image.rename(work / "calib" / f"{name}.png")
    answer = study(model=f"{name}.onnx")
    assert answer.code == 0
    assert is_calm(answer)
    (work / "calib" / f"{name}.png").write_bytes(b"no image")
    refused = study(model=f"{name}.onnx")
    assert refused.code == 2
    assert is_calm(refused)
    assert refused.err.count("\n") == 1
    (work / f"{name}.onnx").write_bytes(b"nothing")
    assert is_calm(run("inspect", f"{name}.onnx"))
    assert not list(work.rglob("pwned"))


@pytest.mark.parametrize("name", ["../../pwned", "/tmp/pwned", "..\\pwned", "a/../../../pwned"])
def test_a_run_that_names_files_outside_of_it(study: Run, run: Run, work: Path, name: str) -> None:
    assert study().code == 0
    content = json.loads((work / "out/study.json").read_text())
    content["trials"][0]["files"]["encodings"] = name
    (work / "out/study.json").write_text(json.dumps(content))
    (work / "out/SHA256SUMS").unlink()
    for command in (("report", "out", "--markdown"), ("diagnose", "out")):
        assert "names a file outside of it" in run(*command).error
