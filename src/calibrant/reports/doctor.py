"""What is installed and usable on this machine, and what to do about what is missing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from calibrant.artifacts.runs_store.setting import OFF, VARIABLE, is_off
from calibrant.core.errors import CalibrantError
from calibrant.core.kernel_choice import NUMBA, are_compiled
from calibrant.core.machine import memory_limit, usable_cores
from calibrant.core.processor import processor_flags, processor_name, saturates_int8
from calibrant.core.user_folder import user_cache_folder
from calibrant.reports.browser import find_browser
from calibrant.runtimes import RUNTIMES, runtime_named

_INT8_SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_GIB = 2**30
_FOR_DEVELOPERS = frozenset({"dev", "docs"})
_ON_A_GPU = frozenset({"tensorrt"})
"""Runtimes and extras that nobody misses where there is no NVIDIA GPU."""
_COMPILED = "compiled"
_NO_GPU = "no NVIDIA driver; only the runtime tensorrt needs one"
_REQUIREMENT = re.compile(r"(?P<package>[A-Za-z0-9._-]+)(?:.*extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"])?")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` says what to do; None: it is as it should be."""

    subject: str
    words: str
    remedy: str | None = None


@dataclass(frozen=True)
class Examination:
    """What was found, by what it concerns."""

    machine: tuple[Finding, ...]
    packages: tuple[Finding, ...]
    runtimes: tuple[Finding, ...]
    extras: tuple[Finding, ...]
    places: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {part: [asdict(finding) for finding in found] for part, found in vars(self).items()}


def examine() -> Examination:
    """Look at this machine. Runtimes are started and the store is opened to see that they work.

    Nothing is raised.
    """
    gpu, kernels = _gpu(), _kernels()
    unneeded = dict.fromkeys(_ON_A_GPU, "it needs an NVIDIA GPU") if gpu.words == _NO_GPU else {}
    if kernels.words == _COMPILED:
        unneeded[NUMBA] = "the compiled kernels do its work"
    return Examination(
        machine=(*_machine(), kernels, gpu),
        packages=tuple(_package(name) for name in _packages_of(None)),
        runtimes=tuple(_runtime(name, unneeded.get(name)) for name in RUNTIMES),
        extras=tuple(_extra(name, _packages_of(name), unneeded.get(name)) for name in _extras()),
        places=(_results(user_cache_folder()), _runs(), _browser()),
    )


def _machine() -> Iterator[Finding]:
    yield Finding("calibrant", f"{version('calibrant')}, Python {platform.python_version()}")
    yield Finding("processor", f"{processor_name()}, {_cores()}")
    yield _instructions(processor_flags(), platform.machine())
    yield _memory(memory_limit())


def _cores() -> str:
    cores = usable_cores()
    return f"{cores} usable core{'s' if cores > 1 else ''}"


def _instructions(flags: frozenset[str], machine: str) -> Finding:
    found = ", ".join(name for name in _INT8_SETS if name in flags) or "none known"
    if saturates_int8(flags, machine):
        return Finding(
            "INT8",
            f"{found}; no VNNI seen",
            "INT8 will hardly be faster than float here; measure on the processor you deploy on",
        )
    return Finding("INT8", found)


def _memory(limit: int | None) -> Finding:
    if limit is None:
        return Finding("memory", "the system does not tell")
    remedy = "give the process 2 GiB or more, or use few calibrators" if limit < 2 * _GIB else None
    return Finding("memory", f"{limit / _GIB:.1f} GiB", remedy)


def _gpu() -> Finding:
    smi = shutil.which("nvidia-smi")
    try:
        listed = subprocess.run(  # noqa: S603
            [smi, "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30, check=True,
        ).stdout.strip().splitlines() if smi else []  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("GPU", f"nvidia-smi fails ({error})", "repair NVIDIA's driver, or measure on a CPU")
    if listed:
        return Finding("GPU", "; ".join(listed))
    return Finding("GPU", _NO_GPU)


def _kernels() -> Finding:
    """What counts activations and scores boxes."""
    try:
        words = _COMPILED if are_compiled() else f"numba {_version(NUMBA)}, in place of compiled ones"
    except CalibrantError as error:
        return Finding("kernels", "none", str(error))
    return Finding("kernels", words)


def _runtime(name: str, unneeded: str | None) -> Finding:
    """``unneeded``: why nobody misses it here."""
    try:
        return Finding(name, runtime_named(name).version)
    except CalibrantError as error:
        words = f"not installed; {unneeded}"
        return Finding(name, words) if unneeded else Finding(name, "not usable", str(error))


def _extras() -> list[str]:
    """Every extra, as Calibrant's own metadata names them; those for developers aside."""
    extras = metadata("calibrant").get_all("Provides-Extra") or []
    return [name for name in extras if name not in _FOR_DEVELOPERS]


def _packages_of(extra: str | None) -> list[str]:
    """The packages of an extra; None: those that Calibrant always needs."""
    found = [match for line in requires("calibrant") or [] if (match := _REQUIREMENT.match(line))]
    return [
        match["package"] for match in found if match["extra"] == extra and match["package"] != "calibrant"
    ]


def _package(name: str) -> Finding:
    found = _version(name)
    return Finding(name, found) if found else Finding(name, "missing", "pip install calibrant")


def _extra(name: str, packages: list[str], unneeded: str | None) -> Finding:
    versions = {package: _version(package) for package in packages}
    missing = [package for package, found in versions.items() if found is None]
    if missing and unneeded:
        return Finding(name, f"not installed; {unneeded}")
    if missing:
        return Finding(name, f"missing {', '.join(missing)}", f"pip install 'calibrant[{name}]'")
    return Finding(name, ", ".join(f"{package} {found}" for package, found in versions.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _results(folder: Path) -> Finding:
    """Where results are kept between runs."""
    standing = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(standing, os.W_OK):
        return Finding("results", f"{folder} cannot be written", "set CALIBRANT_CACHE to a folder of yours")
    kept = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    free = shutil.disk_usage(standing).free
    words = f"{folder}, {kept / _GIB:.1f} GiB kept, {free / _GIB:.1f} GiB free"
    remedy = "free some disk, or set CALIBRANT_CACHE to a folder elsewhere" if free < _GIB else None
    return Finding("results", words, remedy)


def _runs() -> Finding:
    """Where runs are recorded."""
    if is_off():
        return Finding("runs", f"not recorded ({VARIABLE}={OFF})")
    from calibrant.artifacts.runs_store.store import open_store

    try:
        return Finding("runs", f"recorded in {open_store().place}")
    except CalibrantError as error:
        return Finding("runs", "not recorded", str(error))


def _browser() -> Finding:
    browser = find_browser()
    words = f"reports print by {browser}" if browser else "none; only report --pdf needs one"
    return Finding("browser", words)
