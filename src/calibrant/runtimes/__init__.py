"""What runs models; one vendor a file, imported only when asked for."""

from __future__ import annotations

from importlib import import_module

from calibrant.core.errors import SettingsError
from calibrant.core.types import Runtime

# name -> module, class, what installs it
RUNTIMES = {
    "onnxruntime": ("calibrant.runtimes.ort", "OnnxRuntime", "onnxruntime"),
}


def runtime_named(name: str) -> Runtime:
    """Make the runtime called ``name``. Raises SettingsError when it is unknown or not installed."""
    if name not in RUNTIMES:
        raise SettingsError(f"no runtime is called {name!r}; known: {', '.join(RUNTIMES)}")
    module, cls, package = RUNTIMES[name]
    try:
        runtime: Runtime = getattr(import_module(module), cls)()
    except ImportError as error:
        raise SettingsError(f"runtime {name} is not usable ({error}); pip install {package}") from error
    return runtime
