"""A user's own metric, loaded because he named it: never because a file does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibrant.core.errors import SettingsError
from calibrant.core.own_metric import OwnMetric

MetricArgument = OwnMetric | str | None


def own_metric(given: MetricArgument) -> OwnMetric | None:
    """The metric that a user named as "module:function" (of the current folder, too), or gave.

    Raises SettingsError where there is none, and where it does not say which direction is better.
    """
    if given is None or isinstance(given, OwnMetric):
        return given
    if not isinstance(given, str):
        raise SettingsError(
            f"{getattr(given, '__name__', given)!r} does not say which direction is better; decorate it, "
            'e.g. @calibrant.metric(direction="maximize")'
        )
    module, colon, name = given.partition(":")
    if not (colon and module.replace(".", "").isidentifier() and name.isidentifier()):
        raise SettingsError(f"{given!r} names no metric; write module:function, e.g. my_metrics:exact_plates")
    with _current_folder_too():
        try:
            found = getattr(importlib.import_module(module), name, None)
        except Exception as error:  # the user's own code
            raise SettingsError(f"metric {given!r} does not load: {type(error).__name__}: {error}") from error
    if found is None:
        raise SettingsError(f"metric {given!r}: {module} has no {name}; define it there")
    if not isinstance(found, OwnMetric):
        raise SettingsError(
            f"metric {given!r} does not say which direction is better; decorate it, e.g. "
            '@calibrant.metric(direction="maximize")'
        )
    return found


@contextmanager
def _current_folder_too() -> Iterator[None]:
    """Modules are found in the current folder, after everything that is installed."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
