"""``calibrant sweep``: a row for each run, found again; a failure is a row, a mistake has its line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from outcomes import Run
from test_resume import figures

from calibrant.api import sweeps
from calibrant.artifacts.yaml_places import read_places
from calibrant.studies.sweep.plan import SweepRun
from calibrant.studies.sweep.result import Row, failed

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sweep.yaml"
FILE = """\
models:
  - m.onnx
  - {path: torn.onnx, name: <b>torn</b>}
datasets:
  - {name: squares, calib: calib, data: test/labels.json}
calibrators: [minmax, "percentile:90|50"]
schemes: [tensorrt, onnxruntime]
settings: {limit: 30, race: false}
skip:
  - {model: "*torn*", scheme: onnxruntime}
"""
RUNS = ["m-squares-tensorrt-onnxruntime", "m-squares-onnxruntime-onnxruntime"]
TORN = "-b-torn--b--squares-tensorrt-onnxruntime"


@pytest.fixture
def swept(work: Path) -> Path:
    """The current folder, with a model that is none beside the good one, and a sweep of both."""
    (work / "torn.onnx").write_bytes(b"\x08\x07torn")
    (work / "sweep.yaml").write_text(FILE)
    return work


def table(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "sweep.json").read_text())
    return {row["run"]: row for row in content["runs"]}


def test_every_run_is_a_row_and_a_failure_one_too(run: Run, swept: Path) -> None:
    answer = run("sweep", "sweep.yaml")
    assert answer.code == 1
    assert "torn.onnx is not a readable ONNX file" in answer.out
    folder = swept / "runs" / "sweep"
    rows = table(folder)
    assert list(rows) == [*RUNS, TORN]
    assert [row["status"] for row in rows.values()] == ["ok", "ok", "failed"]
    for name in RUNS:
        study = json.loads((folder / name / "study.json").read_text())
        assert rows[name]["recommended"] == study["recommended"]["calibrator"]
        assert rows[name]["fp32"] == study["baseline"]["score"]["value"]
        assert [m["calibrator"] for m in rows[name]["measurements"]] == [
            "minmax",
            "percentile:90",
            "percentile:50",
        ]
    assert not (folder / TORN).exists()
    summaries = json.loads((folder / "sweep.json").read_text())["calibrators"]
    assert sum(summary["recommended"] for summary in summaries) == 2
    assert {summary["runs"] for summary in summaries} == {2}


def test_reports_show_all_rows_and_escape_names(run: Run, swept: Path) -> None:
    run("sweep", "sweep.yaml", "--out", "all")
    page, summary = ((swept / "all" / name).read_text() for name in ("report.html", "sweep.md"))
    assert page.count("&lt;b&gt;torn&lt;/b&gt;") >= 2
    assert "<b>torn</b>" not in page
    assert r"\<b\>torn\</b\>" in summary
    assert summary.count("| m | squares |") == 2


def test_finished_runs_are_found_again_and_others_made(run: Run, swept: Path) -> None:
    run("sweep", "sweep.yaml", "--out", "all")
    before = {name: (swept / "all" / name / "study.json").stat().st_mtime_ns for name in RUNS}
    (swept / "all" / RUNS[1] / "study.json").unlink()
    assert "2 of 3 runs are to do" in run("sweep", "sweep.yaml", "--out", "all", "--dry-run").out
    shutil.copy("m.onnx", "torn.onnx")
    answer = run("sweep", "sweep.yaml", "--out", "all")
    assert answer.code == 0
    assert "1 of 3 runs are found again" in answer.err
    assert (swept / "all" / RUNS[0] / "study.json").stat().st_mtime_ns == before[RUNS[0]]
    assert {row["status"] for row in table(swept / "all").values()} == {"ok"}


def test_a_model_that_changed_is_studied_again(run: Run, swept: Path) -> None:
    run("sweep", "sweep.yaml", "--out", "all")
    with (swept / "m.onnx").open("ab") as file:
        file.write(b"\x32\x00")  # the same graph, with an empty doc_string
    assert "3 of 3 runs are to do" in run("sweep", "sweep.yaml", "--out", "all", "--dry-run").out


def test_another_sweeps_table_is_replaced_only_when_told_and_only_when_whole(
    run: Run, swept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, folder = ("sweep", "other.yaml", "--out", "runs/sweep"), swept / "runs" / "sweep"
    (swept / "other.yaml").write_text(FILE.replace("  - {path: torn.onnx, name: <b>torn</b>}\n", ""))
    assert run("sweep", "sweep.yaml").code == 1
    before = table(folder)
    error = run(*command).error
    assert f"runs/sweep holds another sweep (sweep.json has {TORN}, which other.yaml has not)" in error
    assert table(folder) == before

    def cut_off(at: SweepRun, *_: object, **__: object) -> Row:
        if at.name == RUNS[1]:
            raise KeyboardInterrupt
        return failed(at, "not made")

    for name in RUNS:  # so that there are runs to make
        (folder / name).rename(swept / name)
    with monkeypatch.context() as patched:
        patched.setattr(sweeps, "_row", cut_off)
        assert run(*command, "--overwrite").code == 130
    assert table(folder) == before
    for name in RUNS:
        (swept / name).rename(folder / name)
    assert run(*command, "--overwrite").code == 0
    assert list(table(folder)) == RUNS


def test_a_dry_run_runs_nothing(run: Run, swept: Path) -> None:
    answer = run("sweep", "sweep.yaml", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert all(name in answer.out for name in (*RUNS, TORN))
    assert not (swept / "runs").exists()
    listed = json.loads(run("sweep", "sweep.yaml", "--dry-run", "--json").out)["runs"]
    assert listed == [{"run": name, "is_done": False} for name in (*RUNS, TORN)]


def test_whole_runs_by_an_executor_are_the_same(run: Run, swept: Path) -> None:
    """Three runs on two processes."""
    assert_same_by_two_processes(run, swept, RUNS)


def test_a_run_that_processes_share_is_the_same(run: Run, swept: Path) -> None:
    """One run on two processes: they share its shards."""
    (swept / "torn.onnx").unlink()
    text = FILE.replace("  - {path: torn.onnx, name: <b>torn</b>}\n", "").replace("*torn*", "m")
    (swept / "sweep.yaml").write_text(text)
    assert_same_by_two_processes(run, swept, RUNS[:1])


def assert_same_by_two_processes(run: Run, folder: Path, runs: list[str]) -> None:
    codes = [
        run("sweep", "sweep.yaml", "--out", out, "--no-cache", *options).code
        for out, options in (("alone", ()), ("shared", ("--executor", "local:2")))
    ]
    assert codes[0] == codes[1]
    assert table(folder / "alone") == table(folder / "shared")
    for name in runs:
        alone, shared = (figures(folder / out / name) for out in ("alone", "shared"))
        alone.pop("warnings"), shared.pop("warnings")  # of few labels: conftest.py is not in other processes
        assert alone == shared


def test_the_example_is_a_sweep(run: Run, work: Path) -> None:
    shutil.copy(EXAMPLE, work / "example.yaml")
    for name in ("models/best.onnx", "models/own_head.onnx", "own_head.yaml", "labels/instances_val.json"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).touch()
    (work / "calibration_images").mkdir()
    listed = json.loads(run("sweep", "example.yaml", "--dry-run", "--json").out)["runs"]
    places = ("tensorrt-onnxruntime", "openvino-onnxruntime", "openvino-openvino")
    assert [entry["run"] for entry in listed] == [
        f"{model}-coco-{place}" for model in ("best", "own-head") for place in places
    ]


MISTAKES = {
    "unknown key": ("model: m.onnx", "line 1: model: there is no such key; did you mean models?"),
    "missing key": ("models: m.onnx", "line 1: 'datasets' is missing"),
    "no file": (FILE.replace("m.onnx", "n.onnx"), "line 2: models[0]: there is no '"),
    "no match": (FILE.replace("m.onnx", "'n*.onnx'"), "line 2: models[0]: no file matches 'n*.onnx'"),
    "family": (FILE.replace("torn.onnx,", "torn.onnx, family: yolov99,"), "line 3: models[1].family: "),
    "scheme": (FILE.replace("[tensorrt,", "[tensort,"), "line 7: schemes[0]: "),
    "calibrator": (
        FILE.replace("[minmax,", "[minmx,"),
        "line 6: calibrators: no calibrator is called 'minmx'",
    ),
    "runtime": (f"{FILE}runtimes: tensorflow\n", "line 11: runtimes[0]: no runtime is called 'tensorflow'"),
    "number": (FILE.replace("30", "none"), "line 8: settings.limit: 'none' is no whole number above 0"),
    "setting": (FILE.replace("race:", "raze:"), "line 8: settings.raze: there is no such key"),
    "range": (FILE.replace("race: false", "iou: 7"), "line 8: settings.iou: iou 7 is not between 0 and 1"),
    "nothing": ("models: []\ndatasets: []", "line 1: models: the list is empty"),
    "skipped": (
        FILE.replace('"*torn*", scheme: onnxruntime', '"*"'),
        "line 9: skip: nothing is left",
    ),
    "twice": (FILE.replace("<b>torn</b>", "M"), "two runs are called 'M-squares-tensorrt-onnxruntime'"),
    "no yaml": ("models: [", "is not valid YAML"),
    "a tag": ("models: !!python/object/apply:os.system [ls]", "is not valid YAML"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_its_line_and_key(run: Run, swept: Path, text: str, words: str) -> None:
    (swept / "sweep.yaml").write_text(text)
    assert words in run("sweep", "sweep.yaml").error


def test_an_alias_has_the_line_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("one: &it\n  - x\ntwo: *it\n")
    fields = read_places(tmp_path / "file.yaml").fields(["one", "two"])
    assert "line 2: one[0]" in str(fields["one"].items()[0].wrong("torn"))
    assert "line 3: two[0]" in str(fields["two"].items()[0].wrong("torn"))


def test_aliases_without_end_are_refused(run: Run, swept: Path) -> None:
    lines = ["models: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    (swept / "sweep.yaml").write_text("\n".join(lines))
    assert "aliases" in run("sweep", "sweep.yaml").error
