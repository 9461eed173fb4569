"""TensorRT-RTX as a judge: does it parse and build a Q/DQ model? It needs no GPU for that.

It runs in a process of its own, so that a crash or a hang of the vendor's library costs the check only.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from calibrant.core.errors import RuntimeFailedError, SettingsError

PACKAGE = "tensorrt_rtx"
INSTALL = "pip install tensorrt-rtx"
_WORKER = "calibrant.runtimes.tensorrt_rtx_worker"
_MOST_WORDS = 500


@dataclass(frozen=True)
class BuiltEngine:
    """An engine that was built and thrown away: by which version, in which time, and for which shapes.

    shapes: what dynamic inputs were taken to be; empty for a model without any.
    """

    version: str
    seconds: float
    engine_bytes: int
    shapes: Mapping[str, tuple[int, ...]]

    def __str__(self) -> str:
        built = f"TensorRT-RTX {self.version} parsed it and built an engine in {self.seconds:.1f} s"
        return built + _for(self.shapes)


def is_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return find_spec(PACKAGE) is not None


def build(model: Path, timeout: float = 600.0) -> BuiltEngine:
    """Parse and build an ONNX file. timeout: seconds.

    Raises SettingsError where the package is missing or cannot be loaded, and RuntimeFailedError with the
    vendor's words where it refuses the model, crashes, or takes longer than ``timeout``.
    """
    if not is_installed():
        raise SettingsError(f"TensorRT-RTX is not installed; {INSTALL}, or check without it: --check rules")
    report = _answer_for(model, timeout)
    words = " ".join(str(report.get("words", "")).split())[:_MOST_WORDS]
    if report["status"] == "unusable":
        raise SettingsError(f"TensorRT-RTX is installed but does not load ({words}); {INSTALL} again")
    shapes = {name: tuple(shape) for name, shape in report.get("shapes", {}).items()}
    if report["status"] != "built":
        raise RuntimeFailedError(
            f"TensorRT-RTX {report['version']}: {model.name} was {report['status']}{_for(shapes)}: {words}"
        )
    return BuiltEngine(report["version"], report["seconds"], report["engine_bytes"], shapes)


def _answer_for(model: Path, timeout: float) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", _WORKER, str(model.resolve())]
    try:
        run = subprocess.run(  # noqa: S603  # our own module, and a path as its argument
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeFailedError(
            f"TensorRT-RTX did not finish {model.name} within {timeout:g} s and was stopped; try again"
        ) from error
    try:
        answer: dict[str, Any] = json.loads(run.stdout)
    except ValueError as error:
        last_words = " ".join(run.stderr.decode(errors="replace").split())[-_MOST_WORDS:]
        raise RuntimeFailedError(
            f"TensorRT-RTX crashed on {model.name} ({_ending(run.returncode)}): {last_words or 'no message'}"
        ) from error
    return answer


def _for(shapes: Mapping[str, tuple[int, ...]]) -> str:
    taken = ", ".join(f"{name} as {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    return f" with dynamic input {taken}" if taken else ""


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
