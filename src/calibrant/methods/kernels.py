"""Loops over columns: compiled (core/kernel_choice.py), or numpy's."""

from __future__ import annotations

import os

from calibrant.core.kernel_choice import NUMBA, VARIABLE, compiled_kernels_are_there

if os.environ.get(VARIABLE) != NUMBA and compiled_kernels_are_there():
    from calibrant.methods import _kernels

    descend = _kernels.descend
    round_in_turn = _kernels.round_in_turn
    squared_errors = _kernels.squared_errors
else:
    from calibrant.methods.numpy_kernels import descend, round_in_turn, squared_errors

__all__ = ["descend", "round_in_turn", "squared_errors"]
