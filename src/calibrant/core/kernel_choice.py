"""Which kernels do the loops that numpy cannot: those compiled when Calibrant was built, or numba's.

Both give the same bits; numba's are the reference, and stand in where no C compiler was at hand.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from calibrant.core.errors import SettingsError

VARIABLE = "CALIBRANT_KERNELS"
COMPILED, NUMBA = "compiled", "numba"
_REMEDY = "pip install 'calibrant[numba]'"


@cache
def are_compiled() -> bool:
    """Whether this process uses the compiled kernels; the variable CALIBRANT_KERNELS may ask for either kind.

    Raises SettingsError when what it asks for, or any at all, is not there.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted not in {"", COMPILED, NUMBA}:
        raise SettingsError(
            f"{VARIABLE}={wanted} names no kernels; set it to {COMPILED} or {NUMBA}, or leave it unset"
        )
    if wanted != NUMBA and compiled_kernels_are_there():
        return True
    if wanted == COMPILED:
        raise SettingsError(
            f"{VARIABLE}={COMPILED}, but no kernels were compiled when Calibrant was installed; "
            "install it again with a C compiler at hand, or unset the variable"
        )
    if find_spec("numba") is None:
        reason = f"{VARIABLE}={NUMBA}" if wanted else "no kernels were compiled when Calibrant was installed"
        raise SettingsError(f"{reason}, and numba, which would take their place, is missing; {_REMEDY}")
    return False


def compiled_kernels_are_there() -> bool:
    """Whether the build made them, and they load here."""
    try:
        import_module("calibrant.core._kernels")
    except ImportError:
        return False
    return True
