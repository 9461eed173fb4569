"""Calibrant's own operators inside ONNX Runtime: a Q/DQ pair on an activation in one pass over its values.

They are compiled with the kernels. Where those are not there, or numba's were asked for, pairs are the two
standard operators, with the same results.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibrant.core.errors import SettingsError
from calibrant.core.kernel_choice import are_compiled

DOMAIN = "calibrant"
# Their integers are counted exactly in float32, and rounded right by the operator.
_INTEGERS = ("int8", "uint8", "int16", "uint16")


@cache
def library() -> str | None:
    """The file that ONNX Runtime loads the operators from; None where there is none."""
    try:
        if not are_compiled():
            return None
        from calibrant.runtimes import _ort_kernels
    except (SettingsError, ImportError):
        return None
    return _ort_kernels.__file__


def takes(zero_point: NDArray[np.generic]) -> bool:
    """Whether the operator has these integers, and is there."""
    return zero_point.dtype.name in _INTEGERS and library() is not None


def quantize_dequantize(
    tensor: str, output: str, scale: NDArray[np.float32], zero_point: NDArray[np.integer]
) -> onnx.NodeProto:
    """One node for QuantizeLinear and DequantizeLinear with this scale and zero point, both scalars."""
    limits = np.iinfo(zero_point.dtype)
    return helper.make_node(
        "QuantizeDequantize",
        [tensor],
        [output],
        output,
        domain=DOMAIN,
        scale=float(scale),
        low=float(limits.min - int(zero_point)),
        high=float(limits.max - int(zero_point)),
    )
