"""``calibrant runs``: what studies and optimizations record of themselves, and what can be asked of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import Outcome, Run

from calibrant.artifacts.checksums import CHECKSUMS
from postgresql_cluster import Cluster


@pytest.fixture
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store where it is by default, below the folder that conftest.py made the user's."""
    monkeypatch.delenv("CALIBRANT_STORE")


pytestmark = pytest.mark.usefixtures("_store")


def listed(answer: Outcome) -> list[dict[str, Any]]:
    assert (answer.code, answer.err) == (0, "")
    runs: list[dict[str, Any]] = json.loads(answer.out)["runs"]
    return runs


def test_a_study_records_itself_in_the_users_data_folder(
    study: Run, run: Run, work: Path, own_store: Path
) -> None:
    answer = study("--limit", "20", calibrators="minmax,percentile:50", out="out")
    assert (answer.code, answer.err.count("\n")) == (0, 1)  # that intervals need 30 images
    assert own_store.is_file()
    (found,) = listed(run("runs", "list", "--json"))
    content = json.loads((work / "out" / "study.json").read_text())
    assert found["kind"] == "study"
    assert found["task"] == "detection"
    assert (found["model"], found["model_sha256"]) == ("m.onnx", content["model"]["sha256"])
    assert (found["test_samples"], found["calibration_samples"]) == (20, 4)
    assert found["float_value"] == content["baseline"]["score"]["value"]
    assert found["metric"] == content["baseline"]["score"]["metric"] == "map50_95"
    assert (found["runtime"], found["scheme"]) == ("onnxruntime", "tensorrt")
    assert found["runtime_version"] == content["environment"]["onnxruntime"]
    assert found["recommended"] == content["recommended"]["calibrator"] == "minmax"
    assert (found["folder"], found["folder_is"]) == (str(work / "out"), "here")
    first = found["trials"][0]
    lost = {"value": first["loss"], "low": first["loss_low"], "high": first["loss_high"]}
    assert lost == content["trials"][0]["loss"]
    assert [trial["key"] for trial in found["trials"]] == [trial["key"] for trial in content["trials"]]


def test_lists_and_a_run_are_shown(study: Run, run: Run, work: Path) -> None:
    assert study(calibrators="minmax,percentile:50").code == 0
    table = run("runs").out
    assert "recommended" in table
    assert table == run("runs", "list").out
    run_id = listed(run("runs", "list", "--json"))[0]["id"]
    assert run_id[:8] in table
    shown = run("runs", "show", run_id[:6]).out
    for words in (run_id, "m.onnx", str(work / "out"), "*  minmax", "percentile:50"):
        assert words in shown
    assert json.loads(run("runs", "show", run_id[:6], "--json").out)["id"] == run_id
    assert "minmax" in run("runs", "best").out
    assert "minmax" in run("runs", "history", "m").out
    followed = run("runs", "history", "m", "--calibrator", "percentile:50").out
    assert "percentile:50" in followed
    assert "minmax" not in followed


def test_without_runs_there_is_a_hint(run: Run) -> None:
    assert "calibrant study records its own" in run("runs").out
    assert listed(run("runs", "best", "--json")) == []
    assert "no study of 'm' is recorded" in run("runs", "history", "m").error
    assert "no run has the id 'abcd'" in run("runs", "show", "abcd").error


def test_the_store_can_be_made_again_from_the_folders(
    study: Run, run: Run, work: Path, own_store: Path
) -> None:
    for name in ("a", "b"):
        assert study(out=f"runs/{name}").code == 0
    before = listed(run("runs", "list", "--json"))
    own_store.unlink()
    answer = run("runs", "add", "runs/a", "runs/b", "runs/a")
    assert answer.out.count("recorded ") == 3
    assert listed(run("runs", "list", "--json")) == before
    assert "calib holds no run" in run("runs", "add", "calib").error


def edited(folder: Path, change: Callable[[Any], None]) -> None:
    content = json.loads((folder / "study.json").read_text())
    change(content)
    (folder / "study.json").write_text(json.dumps(content))
    (folder / CHECKSUMS).unlink(missing_ok=True)


NO_STUDY = [
    ("baseline", "seconds", "30", "seconds is '30', no float"),
    ("baseline", "score", {"metric": "map50_95", "value": 10**400}, "holds what no database takes"),
    ("data", "test_samples", None, "test_samples is None, no int"),
    ("data", "dataset", "half a letter \ud800", "holds what no database takes"),
    ("settings", "runtime", ["onnxruntime"], "not as Calibrant writes it"),
    ("model", "sha256", {}, "sha256 is {}, no str"),
    ("model", "path", 7, "path is 7, no str"),
]


def test_what_no_study_wrote_is_refused_in_one_line(
    study: Run, run: Run, work: Path, own_store: Path
) -> None:
    assert study().code == 0
    own_store.unlink()
    written = (work / "out" / "study.json").read_text()
    for section, name, value, words in NO_STUDY:
        (work / "out" / "study.json").write_text(written)
        edited(work / "out", lambda content: content[section].update({name: value}))  # noqa: B023
        assert words in run("runs", "add", "out").error
    assert listed(run("runs", "list", "--json")) == []


def test_names_from_a_folder_cannot_play_with_the_terminal(
    study: Run, run: Run, work: Path, own_store: Path
) -> None:
    assert study().code == 0
    evil = "evil\x1b[2J\nname[bold]"

    def rename(content: Any) -> None:
        content["model"]["path"] = content["data"]["dataset"] = f"/m/{evil}"
        content["trials"][0]["calibrator"] = content["recommended"]["calibrator"] = evil

    own_store.unlink()
    edited(work / "out", rename)
    assert run("runs", "add", "out").code == 0
    for command in (
        ("list",),
        ("best",),
        ("history", evil),
        ("show", listed(run("runs", "list", "--json"))[0]["id"]),
    ):
        shown = run("runs", *command)
        assert shown.code == 0
        assert "\x1b" not in shown.out
        assert "[bold]" in shown.out.replace("\n", "")


def test_comparing_records_runs_that_came_from_elsewhere(study: Run, run: Run, own_store: Path) -> None:
    for name in ("a", "b"):
        assert study(out=f"runs/{name}").code == 0
    own_store.unlink()
    assert run("compare", "runs/a", "runs/b").code == 0
    assert len(listed(run("runs", "list", "--json"))) == 2


def test_a_folder_that_is_gone_or_holds_another_run_is_told(study: Run, run: Run, work: Path) -> None:
    for limit, name in enumerate(("gone", "changed", "here"), start=26):  # else their files may be the same
        assert study("--limit", limit, out=name).code == 0
    shutil.rmtree(work / "gone")
    assert study("--limit", "29", out="changed").code == 0
    states = {
        (Path(found["folder"]).name, found["folder_is"]) for found in listed(run("runs", "list", "--json"))
    }
    assert states == {("gone", "gone"), ("changed", "changed"), ("changed", "here"), ("here", "here")}
    assert "gone" in run("runs").out


def test_a_removed_run_leaves_its_files_unless_asked(study: Run, run: Run, work: Path) -> None:
    assert study(calibrators="minmax,percentile:50", out="kept").code == 0
    assert study(calibrators="minmax,percentile:50", out="deleted").code == 0
    ids = {Path(found["folder"]).name: found["id"] for found in listed(run("runs", "list", "--json"))}
    assert run("runs", "rm", ids["kept"]).code == 0
    assert (work / "kept" / "study.json").is_file()
    assert run("runs", "rm", ids["deleted"], "--files").code == 0
    assert not (work / "deleted").exists()
    assert listed(run("runs", "list", "--json")) == []


def test_only_what_a_run_wrote_is_deleted(study: Run, run: Run, work: Path) -> None:
    assert study(out="out").code == 0
    (run_id,) = (found["id"] for found in listed(run("runs", "list", "--json")))
    own = (
        "best.qdq.onnx",
        "best.cache",
        "best.encodings.json",
        "evidence/mine.npz",
        "measurements/mine.json",
    )
    for foreign in ("notes.txt", "evidence/notes.txt", "models/a.qdq.onnx", "m.onnx", *own):
        path = work / "out" / foreign
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        assert "delete it by hand" in run("runs", "rm", run_id, "--files").error
        path.unlink()
    (work / "out" / "models").rmdir()
    (work / "out" / "measurements").rmdir()
    (work / "out" / "report.pdf").symlink_to(work / "m.onnx")
    assert "delete it by hand" in run("runs", "rm", run_id, "--files").error
    (work / "out" / "report.pdf").unlink()
    cache = (work / "out" / "minmax.cache").read_bytes()
    (work / "out" / "minmax.cache").write_bytes(cache + b"mine: 3f800000\n")
    assert "holds minmax.cache" in run("runs", "rm", run_id, "--files").error
    (work / "out" / "minmax.cache").write_bytes(cache)
    assert study("--limit", "29", out="out").code == 0
    assert "does not hold run" in run("runs", "rm", run_id, "--files").error
    assert (work / "out" / "study.json").is_file()
    shutil.rmtree(work / "out")
    assert run("runs", "rm", run_id, "--files").code == 0


def test_an_optimization_records_itself_and_its_study_keeps_its_own(study: Run, run: Run, work: Path) -> None:
    assert study(out="studied").code == 0
    assert run("optimize", "studied", "--budget", "4s", "--out", "best").code == 0
    assert run("runs", "add", "studied").code == 0
    runs = listed(run("runs", "list", "--json"))
    assert [(found["kind"], Path(found["folder"]).name) for found in runs] == [
        ("optimization", "best"),
        ("study", "studied"),
    ]
    content = json.loads((work / "best" / "optimization.json").read_text())
    found = runs[0]
    assert found["recommended"] == found["trials"][0]["name"] == content["chosen"]["name"]
    assert found["test_samples"] == content["report_samples"] == 15
    assert found["trials"][0]["loss"] == content["chosen"]["report"]["loss"]["value"]
    assert "optimization: " in run("runs", "best").out
    assert "optimization of " in run("runs", "show", found["id"]).out
    assert run("runs", "rm", found["id"], "--files").code == 0
    assert not (work / "best").exists()


def test_a_store_that_cannot_be_written_to_costs_a_note(
    study: Run, run: Run, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "file").touch()
    monkeypatch.setenv("CALIBRANT_STORE", "file/store.sqlite")
    answer = study()
    assert answer.code == 0
    assert answer.err.startswith("note: not recorded: the store of runs cannot be made at ")
    assert answer.err.count("\n") == 1
    for setting in ("file/store.sqlite", "postgresql://nobody@127.0.0.1:1/x", "mysql://x/y", "?://?:?"):
        monkeypatch.setenv("CALIBRANT_STORE", setting)
        assert "CALIBRANT_STORE" in run("runs", "add", "out").error


def test_the_store_can_be_turned_off_or_be_a_file(
    study: Run, run: Run, work: Path, monkeypatch: pytest.MonkeyPatch, own_store: Path
) -> None:
    monkeypatch.setenv("CALIBRANT_STORE", "off")
    assert study().err == ""
    assert not own_store.exists()
    assert "is turned off (CALIBRANT_STORE=off)" in run("runs").error
    monkeypatch.setenv("CALIBRANT_STORE", "team/runs.sqlite")
    assert run("runs", "add", "out").code == 0
    assert (work / "team" / "runs.sqlite").is_file()


def test_a_team_shares_a_store_in_postgresql(
    study: Run, run: Run, monkeypatch: pytest.MonkeyPatch, postgresql: Cluster
) -> None:
    url = postgresql.new_database().replace("postgresql+psycopg", "postgresql")
    monkeypatch.setenv("CALIBRANT_STORE", url)
    assert study(calibrators="minmax,percentile:50").err == ""
    (found,) = listed(run("runs", "list", "--json"))
    assert found["recommended"] == "minmax"
    assert "minmax" in run("runs", "history", "m.onnx", "--runtime", "onnxruntime").out
