"""``calibrant doctor`` and ``calibrant completion``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from outcomes import Run

from calibrant.core.errors import SettingsError
from calibrant.reports import doctor
from calibrant.runtimes import RUNTIMES


def test_doctor_names_every_runtime_and_extra(run: Run) -> None:
    answer = run("doctor", "--json")
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)
    assert {entry["subject"] for entry in found["machine"]} == {
        "calibrant", "processor", "INT8", "memory", "kernels", "GPU"
    }  # fmt: skip
    runtimes = {entry["subject"]: entry for entry in found["runtimes"]}
    assert runtimes.keys() == RUNTIMES.keys()
    assert runtimes["onnxruntime"]["remedy"] is None
    assert {"demo", "openvino"} <= {entry["subject"] for entry in found["extras"]}
    assert {"dev", "docs"} & {entry["subject"] for entry in found["extras"]} == set()
    assert {"numpy", "onnx"} <= {entry["subject"] for entry in found["packages"] if not entry["remedy"]}
    places = {entry["subject"]: entry["words"] for entry in found["places"]}
    assert os.environ["CALIBRANT_CACHE"] in places["results"]
    assert places["runs"] == "not recorded (CALIBRANT_STORE=off)"


def test_doctor_says_what_to_do_about_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "calibrant.runtimes.openvino", raising=False)
    answer = run("doctor")
    assert answer.code == 0
    lines = answer.out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("  ! openvino"))
    assert "pip install 'calibrant[openvino]'" in lines[place + 1]


def test_doctor_opens_the_store(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIBRANT_STORE", str(work / "mine.sqlite"))
    assert f"recorded in {work / 'mine.sqlite'}" in run("doctor").out
    monkeypatch.setenv("CALIBRANT_STORE", "mysql://somewhere/runs")
    assert "names a database of kind mysql" in run("doctor").out


def test_nobody_misses_tensorrt_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    found = doctor.examine()
    of_tensorrt = [f for f in (*found.runtimes, *found.extras) if f.subject == "tensorrt"]
    assert [finding.remedy for finding in of_tensorrt] == [None] * len(of_tensorrt)


def test_a_missing_extra_is_told_with_its_remedy() -> None:
    found = doctor._extra("ray", ["no-such-package", "numpy"], unneeded=None)
    assert (found.words, found.remedy) == ("missing no-such-package", "pip install 'calibrant[ray]'")


def test_a_processor_without_vnni_is_remarked_on() -> None:
    slow = doctor._instructions(frozenset({"avx2"}), "x86_64")
    assert slow.remedy is not None
    assert doctor._instructions(frozenset({"avx2", "avx_vnni"}), "x86_64").remedy is None


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    answer = run("completion", shell)
    assert (answer.code, answer.err) == (0, "")
    assert f"_CALIBRANT_COMPLETE={shell}_complete" in answer.out


def test_the_shell_is_told_the_commands() -> None:
    asked = {
        **os.environ,
        "_CALIBRANT_COMPLETE": "bash_complete",
        "COMP_WORDS": "calibrant doc",
        "COMP_CWORD": "1",
    }
    called = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'calibrant'; from calibrant.cli import main; main()",
    ]
    told = subprocess.run(called, env=asked, capture_output=True, text=True, check=False)
    assert told.stdout.split(",")[-1].strip() == "doctor"


def test_doctor_says_which_kernels_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "are_compiled", lambda: True)
    assert doctor._kernels().words == "compiled"
    monkeypatch.setattr(doctor, "are_compiled", lambda: False)
    assert doctor._kernels().words == f"numba {version('numba')}, in place of compiled ones"


def test_doctor_says_what_to_do_where_no_kernels_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> bool:
        raise SettingsError("there are none")

    monkeypatch.setattr(doctor, "are_compiled", none)
    assert (doctor._kernels().words, doctor._kernels().remedy) == ("none", "there are none")


def test_nobody_misses_numba_beside_compiled_kernels() -> None:
    found = doctor._extra("numba", ["no-such-package"], unneeded="the compiled kernels do its work")
    assert (found.words, found.remedy) == ("not installed; the compiled kernels do its work", None)
