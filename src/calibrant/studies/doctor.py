"""What is installed and usable on this machine, and what to do about what is missing."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any

from calibrant.core.errors import CalibrantError
from calibrant.core.machine import memory_limit, usable_cores
from calibrant.core.processor import processor_flags, processor_name, saturates_int8
from calibrant.runtimes import RUNTIMES, runtime_named

_INT8_SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_GIB = 2**30
_FOR_DEVELOPERS = frozenset({"dev"})
_REQUIREMENT = re.compile(r"^(?P<package>[A-Za-z0-9._-]+).*extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"]")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` says what to do; None: it is as it should be."""

    subject: str
    words: str
    remedy: str | None = None


@dataclass(frozen=True)
class Examination:
    """What was found, by what it concerns: the machine, runtimes, extras."""

    machine: tuple[Finding, ...]
    runtimes: tuple[Finding, ...]
    extras: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {part: [asdict(finding) for finding in found] for part, found in vars(self).items()}


def examine() -> Examination:
    """Look at this machine. Runtimes are started to see whether they work; nothing is raised."""
    return Examination(
        tuple(_machine()),
        tuple(_runtime(name) for name in RUNTIMES),
        tuple(_extra(name, packages) for name, packages in _packages_of_extras().items()),
    )


def _machine() -> Iterator[Finding]:
    yield Finding("calibrant", f"{version('calibrant')}, Python {platform.python_version()}")
    yield Finding("processor", f"{processor_name()}, {_cores()}")
    yield _instructions(processor_flags(), platform.machine())
    yield _memory(memory_limit())
    yield _gpu()


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
    return Finding("GPU", "no NVIDIA driver; only the runtime tensorrt needs one")


def _runtime(name: str) -> Finding:
    try:
        return Finding(name, runtime_named(name).version)
    except CalibrantError as error:
        return Finding(name, "not usable", str(error))


def _packages_of_extras() -> dict[str, list[str]]:
    """The packages of every extra, as Calibrant's own metadata names them; those for developers aside."""
    extras = metadata("calibrant").get_all("Provides-Extra") or []
    wanted: dict[str, list[str]] = {name: [] for name in extras if name not in _FOR_DEVELOPERS}
    for requirement in requires("calibrant") or []:
        found = _REQUIREMENT.match(requirement)
        if found and found["extra"] in wanted and found["package"] != "calibrant":
            wanted[found["extra"]].append(found["package"])
    return wanted


def _extra(name: str, packages: list[str]) -> Finding:
    versions = {package: _version(package) for package in packages}
    missing = [package for package, found in versions.items() if found is None]
    words = ", ".join(f"{package} {found}" for package, found in versions.items() if found)
    if missing:
        return Finding(name, f"missing {', '.join(missing)}", f"pip install 'calibrant[{name}]'")
    return Finding(name, words)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
