"""The facade loads on first use, and its names are the functions that they say."""

from __future__ import annotations

import pkgutil

import calibrant
from calibrant import api


def test_every_name_of_the_facade_is_there() -> None:
    assert [name for name in dir(api) if getattr(api, name, None) is None] == []
    assert set(calibrant.__all__) <= {
        *dir(api),
        "CalibrantError",
        "QuantSpec",
        "Range",
        "TensorStatistics",
        "__version__",
        "metric",
    }


def test_no_module_of_the_facade_hides_a_function() -> None:
    # Importing a submodule sets its name on the package: `api.report` would be a module all of a sudden.
    modules = {module.name for module in pkgutil.iter_modules(api.__path__)}
    assert not modules & set(dir(api))
