"""The loop that summarises one tensor of one sample: compiled, or numba's (core/kernel_choice.py)."""

from __future__ import annotations

from calibrant.core.kernel_choice import are_compiled

if are_compiled():
    from calibrant.stages.coverage import _kernels

    summarise = _kernels.summarise
else:
    from calibrant.stages.coverage.numba_kernels import summarise

__all__ = ["summarise"]
