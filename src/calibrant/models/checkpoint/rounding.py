"""Activations rounded as a runtime would, in torch: to the bit what core.formats gives on arrays."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from calibrant.core.formats import E4M3, F32, Format, Grid, PerTensor, PerToken, decode, encode
from calibrant.models.checkpoint.modules import Rounding

_TINY = float(np.finfo(np.float32).tiny)


def rounding_of(format: Format, grid: Grid | None = None) -> Rounding:  # noqa: A002
    """A function that rounds activations, (..., channels), to ``format`` and gives their real values.

    grid: fixed beforehand, from calibration; None: found for each input, as dynamic formats have it.
    """
    is_plain = format.symmetric and format.scale_type == F32 and not format.tensor_scale
    is_known = format.element.is_integer or format.element == E4M3
    if is_plain and is_known and isinstance(format.granularity, PerTensor | PerToken):
        step = None if grid is None else torch.from_numpy(np.asarray(grid.step, np.float32))
        return _Plain(format, step)
    return _ByArrays(format, grid)


class _Plain:
    """Symmetric, one float32 scale for a token or for all."""

    def __init__(self, format: Format, step: torch.Tensor | None) -> None:  # noqa: A002
        self._lowest, self._highest, self._reach = format.lowest, format.highest, format.reach
        self._is_integer, self._step = format.element.is_integer, step
        self._by_token = isinstance(format.granularity, PerToken)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        step = self._found_step(values) if self._step is None else self._step.to(values.device)
        scaled = values / step
        if self._is_integer:
            return scaled.round_().clamp_(self._lowest, self._highest).mul_(step)
        scaled = scaled.clamp_(self._lowest, self._highest)
        return scaled.to(torch.float8_e4m3fn).to(torch.float32).mul_(step)

    def _found_step(self, values: torch.Tensor) -> torch.Tensor:
        magnitudes = values.abs()
        amax = magnitudes.amax(-1, keepdim=True) if self._by_token else magnitudes.max()
        step = (amax / self._reach).clamp_min(_TINY)
        return torch.where(amax > 0, step, 1.0)


class _ByArrays:
    """Every other format, by core.formats itself."""

    def __init__(self, format: Format, grid: Grid | None) -> None:  # noqa: A002
        self._format, self._grid = format, grid

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        given = values.contiguous().cpu().numpy()
        return torch.from_numpy(decode(encode(given, self._format, self._grid))).to(values.device)


def scaled_rounding(rounding: Rounding, ratio: NDArray[np.float32]) -> Rounding:
    """Multiply each channel before it is rounded, as a norm with scales in it does. ratio: (channels,)."""
    factor = torch.from_numpy(np.asarray(ratio, np.float32))
    return lambda values: rounding(values * factor.to(values.device))
