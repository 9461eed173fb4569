"""What runs models; one vendor a file, imported only when asked for."""

from __future__ import annotations

from importlib import import_module

from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress, Silent
from calibrant.core.silence import silence
from calibrant.core.types import Runtime
from calibrant.runtimes.options import parsed

silence()  # before any vendor's package is imported: whoever imports one comes by here

REFERENCE = "onnxruntime"
"""The runtime that collects statistics of float models, wherever the candidates run."""

# name -> module, what installs it; the module's make(options, progress) gives the runtime
RUNTIMES = {
    "onnxruntime": ("calibrant.runtimes.ort", "pip install onnxruntime"),
    "openvino": ("calibrant.runtimes.openvino", "pip install 'calibrant[openvino]'"),
    "tensorrt": ("calibrant.runtimes.tensorrt", "pip install 'calibrant[tensorrt]'"),
}

_WITH_WORKERS = ("onnxruntime", "openvino")
_ON_GPUS = ("tensorrt",)


def gpus_of(specification: str) -> int:
    """How many GPUs a model that this runtime opens needs for itself."""
    return int(parsed(specification)[0] in _ON_GPUS)


def on_one_core(specification: str) -> str:
    """The same runtime for a process that shares the machine with others; the user's own choice stands."""
    name, options = parsed(specification)
    if name not in _WITH_WORKERS or "workers" in options:
        return specification
    return f"{name}:{','.join(f'{key}={value}' for key, value in {**options, 'workers': 1}.items())}"


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
