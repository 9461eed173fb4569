"""Counting: compiled, or numba's (core/kernel_choice.py)."""

from __future__ import annotations

from calibrant.core.kernel_choice import are_compiled

if are_compiled():
    from calibrant.core import _kernels

    count_magnitudes = _kernels.count_magnitudes
else:
    from calibrant.core.numba_kernels import count_magnitudes

__all__ = ["count_magnitudes"]
