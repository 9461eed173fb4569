"""The wheel: what is in it, what it says of itself, and that it works where nothing else is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from calibrant import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LARGEST = 2_000_000
# What a file of the package may be; a model or an image is a stray.
SUFFIXES = {".css", ".html", ".ini", ".js", ".mako", ".md", ".py", ".pyi", ".sql", ".txt", ".typed", ".yaml"}
SOURCES_OF_KERNELS = {".c", ".h"}
COMPILED = {".so", ".pyd"}
NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which("cc") is None or not Path(sysconfig.get_path("include"), "Python.h").is_file(),
    reason="needs a C compiler and Python's headers",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release is, by the build backend of this environment."""
    (built,) = built_into(tmp_path_factory.mktemp("dist"))
    return built


def built_into(folder: Path) -> Iterator[Path]:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    return folder.iterdir()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel and what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([*pip_of(programs), "install", "--quiet", "--no-compile", wheel], check=True)
    return programs


def pip_of(programs: Path) -> list[str]:
    """This environment's pip at work on the other one, which has none."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    return [*pip, "--python", str(programs / "python")]


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


def package_of(requirement: str) -> str:
    """The name that a requirement begins with, as packages are compared by."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def packages_of(requirements: list[str]) -> set[str]:
    """The packages that are named, those of other extras of ours included."""
    found = set()
    for requirement in requirements:
        own = re.match(r"calibrant\[(.+)]", requirement)
        found |= packages_of(EXTRAS[own[1]]) if own else {package_of(requirement)}
    return found


def test_it_is_small_and_holds_the_package_and_nothing_else(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"calibrant-{__version__}.dist-info/"
    ours = {name for name in names if not name.startswith(about)}
    source = ROOT / "src"
    files = [file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    plain = {
        file.relative_to(source).as_posix()
        for file in files
        if file.suffix not in SOURCES_OF_KERNELS | COMPILED and ".egg-info/" not in str(file)
    }
    assert {name for name in ours if Path(name).suffix not in COMPILED} == plain
    assert {Path(name).suffix for name in plain} <= SUFFIXES
    assert {"calibrant/py.typed", f"{about}licenses/LICENSE"} <= names
    for vendored in (name for name in ours if "/vendor/" in name and name.endswith(".js")):
        assert f"{vendored.rpartition('/')[0]}/LICENSES.txt" in ours
    assert {name for name in names if name.endswith("LICENSES.txt")} & {
        f"{about}licenses/{path}" for path in PROJECT["license-files"]
    }


@NEEDS_COMPILER
def test_it_holds_every_kernel_compiled_for_all_pythons(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if Path(name).suffix in COMPILED}
    sources = [file.relative_to(ROOT / "src") for file in (ROOT / "src").rglob("*.c")]
    assert len(sources) == 8
    assert {name.partition(".")[0] for name in names} == {path.with_suffix("").as_posix() for path in sources}
    assert "-cp311-abi3-" in wheel.name


def test_without_a_compiler_it_is_built_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name == "nt":
        pytest.skip("what compiles is not named by CC on Windows")
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    (built,) = built_into(tmp_path / "dist")
    assert built.name.endswith("-py3-none-any.whl")
    assert {Path(name).suffix for name in zipfile.ZipFile(built).namelist()} & COMPILED == set()


def test_it_says_what_the_project_file_says(wheel: Path) -> None:
    said = metadata_of(wheel)
    assert set(said.get_all("Provides-Extra", [])) == EXTRAS.keys()
    required = said.get_all("Requires-Dist", [])
    core = {package_of(requirement) for requirement in required if "extra ==" not in requirement}
    assert core == {package_of(requirement) for requirement in PROJECT["dependencies"]}
    for extra, requirements in EXTRAS.items():
        named = {package_of(line) for line in required if re.search(rf"extra == ['\"]{extra}['\"]", line)}
        assert named == packages_of(requirements), extra
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert str(said.get_payload()).startswith("# Calibrant")


def test_the_developers_extra_holds_all_that_the_tests_need() -> None:
    optional = EXTRAS.keys() - {"dev", "tensorrt"}
    assert {f"calibrant[{extra}]" for extra in optional} <= set(EXTRAS["dev"])


@NEEDS_COMPILER
def test_it_works_where_nothing_else_is_installed(installed: Path, work: Path) -> None:
    extras = set().union(*(packages_of(requirements) for requirements in EXTRAS.values()))
    optional = extras - {package_of(requirement) for requirement in PROJECT["dependencies"]}
    listed = json.loads(said(*pip_of(installed), "list", "--format", "json"))
    present = {package_of(entry["name"]) for entry in listed}
    assert "calibrant" in present
    assert present & (optional | {"torch", "matplotlib"}) == set()

    assert "study" in said(installed / "calibrant", "--help")
    examined = json.loads(said(installed / "calibrant", "doctor", "--json"))
    assert [entry for entry in examined["packages"] if entry["remedy"]] == []
    lacking = {
        entry["subject"] for entry in examined["extras"] if entry["words"].startswith(("missing", "not"))
    }
    assert lacking == EXTRAS.keys() - {"dev", "docs"}

    options = ("--calib", "calib", "--data", "test", "--calibrators", "minmax", "--out", "out")
    assert "Use minmax" in said(installed / "calibrant", "study", "m.onnx", *options)
    assert (work / "out" / "minmax.qdq.onnx").is_file()


def said(*command: object) -> str:
    """What a program prints that has none of this process's packages."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [str(word) for word in command]
    run = subprocess.run(words, env=clean, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout
