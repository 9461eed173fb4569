"""Counting: compiled, or numba's (core/kernel_choice.py)."""

from __future__ import annotations

from calibrant.core.kernel_choice import are_compiled

if are_compiled():
    from calibrant.core import _kernels

    count_magnitudes = _kernels.count_magnitudes
    lower_edge_values = _kernels.lower_edge_values
else:
    from calibrant.core.numba_kernels import count_magnitudes, lower_edge_values

__all__ = ["count_magnitudes", "lower_edge_values"]
