"""Where a study ran: what another machine needs to get the same numbers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from calibrant.core.types import Runtime, RuntimeWithDevice

_PACKAGES = ("calibrant", "numpy", "onnx", "onnx-ir", "opencv-python-headless", "hotcoco")


def environment(runtime: Runtime) -> dict[str, str]:
    """Versions, processor and operating system, as text."""
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        runtime.name: runtime.version,
        **({"device": runtime.device} if isinstance(runtime, RuntimeWithDevice) else {}),
        "os": platform.platform(),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
    }


def _cpu() -> str:
    """The processor's model name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
