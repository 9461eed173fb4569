"""Where a study ran: what another machine needs to get the same numbers."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from calibrant.core.processor import processor_name
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
        "cpu": processor_name(),
        "cores": str(os.cpu_count()),
    }
