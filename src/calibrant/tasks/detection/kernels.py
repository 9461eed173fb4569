"""Loops over boxes: compiled, or numba's (core/kernel_choice.py)."""

from __future__ import annotations

from calibrant.core.kernel_choice import are_compiled

if are_compiled():
    from calibrant.tasks.detection import _kernels, _precision_kernels

    bits_below_best = _kernels.bits_below_best
    greedily_kept = _kernels.greedily_kept
    matches = _kernels.matches
    weighted_mean_precision = _precision_kernels.weighted_mean_precision
else:
    from calibrant.tasks.detection.numba_kernels import (
        bits_below_best,
        greedily_kept,
        matches,
        weighted_mean_precision,
    )

__all__ = ["bits_below_best", "greedily_kept", "matches", "weighted_mean_precision"]
