"""Who does a study's work when it is not this process: one way a file, imported only when asked for."""

from __future__ import annotations

from importlib import import_module

from calibrant.core.errors import SettingsError
from calibrant.core.executor import Executor

# name -> module, what installs it; the module's make(argument) gives the executor
EXECUTORS = {
    "local": ("calibrant.executors.local", "it comes with Python"),
    "ray": ("calibrant.executors.ray", "pip install 'calibrant[ray]'"),
}


def executor_named(specification: str) -> Executor:
    """Open the executor that ``local[:N]`` or ``ray[:address]`` describes.

    Raises SettingsError when it is unknown, not installed or cannot be reached, or what follows the colon
    does not fit.
    """
    name, _, argument = specification.partition(":")
    if name not in EXECUTORS:
        raise SettingsError(f"no executor is called {name!r}; use local:2, ray or ray:ADDRESS")
    module, remedy = EXECUTORS[name]
    try:
        executor: Executor = import_module(module).make(argument)
    except ImportError as error:
        raise SettingsError(f"executor {name} is not usable ({error}); {remedy}") from error
    return executor
