"""Searches that weigh every threshold: compiled, or numba's (core/kernel_choice.py)."""

from __future__ import annotations

from calibrant.core.kernel_choice import are_compiled

if are_compiled():
    from calibrant.calibrators import _kernels

    bins_of_least_divergence = _kernels.bins_of_least_divergence
    squared_errors = _kernels.squared_errors
else:
    from calibrant.calibrators.numba_kernels import bins_of_least_divergence, squared_errors

__all__ = ["bins_of_least_divergence", "squared_errors"]
