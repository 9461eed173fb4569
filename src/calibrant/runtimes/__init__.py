"""What runs models; one vendor a file, imported only when asked for."""

from __future__ import annotations

from importlib import import_module

from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.types import Runtime
from calibrant.runtimes.options import parsed

REFERENCE = "onnxruntime"
"""The runtime that collects statistics of float models, wherever the candidates run."""

# name -> module, what installs it; the module's make(options, progress) gives the runtime
RUNTIMES = {
    "onnxruntime": ("calibrant.runtimes.ort", "pip install onnxruntime"),
    "openvino": ("calibrant.runtimes.openvino", "pip install 'calibrant[openvino]'"),
    "tensorrt": ("calibrant.runtimes.tensorrt", "pip install 'calibrant[tensorrt]'"),
}


def runtime_named(specification: str, progress: Progress | None = None) -> Runtime:
    """Make the runtime that ``name[:key=value[,key=value]]`` describes, e.g. ``tensorrt:precision=fp16``.

    Raises SettingsError when it is unknown or not installed, or an option does not fit.
    """
    name, options = parsed(specification)
    if name not in RUNTIMES:
        raise SettingsError(f"no runtime is called {name!r}; known: {', '.join(RUNTIMES)}")
    module, remedy = RUNTIMES[name]
    try:
        runtime: Runtime = import_module(module).make(options, progress or Silent())
    except ImportError as error:
        raise SettingsError(f"runtime {name} is not usable ({error}); {remedy}") from error
    return runtime
