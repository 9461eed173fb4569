"""Calibrant's own operators inside ONNX Runtime, compiled with the kernels (_ort_kernels.c).

Where those are not there, or numba's were asked for, standard operators and bound outputs do the same work,
with the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import count
from typing import TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibrant.core.errors import SettingsError
from calibrant.core.kernel_choice import are_compiled
from calibrant.core.types import FloatArray

DOMAIN = "calibrant"
# What a float32 counts exactly, and the operator rounds right.
_INTEGERS = ("int8", "uint8", "int16", "uint16")

Show: TypeAlias = Callable[[str, FloatArray], None]


@cache
def library() -> str | None:
    """The file that ONNX Runtime loads the operators from; None where there is none."""
    try:
        if not are_compiled():
            return None
        from calibrant.runtimes import _ort_kernels
    except (SettingsError, ImportError):
        return None
    _ort_kernels.set_watcher(_hand_over)
    return _ort_kernels.__file__


def takes(zero_point: NDArray[np.generic]) -> bool:
    """Whether QuantizeDequantize has these integers."""
    return zero_point.dtype.name in _INTEGERS


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


class Watch:
    """A node that shows a tensor on its way to ``output``, as long as this object lives.

    ``show`` is called by the thread that runs the graph, with the tensor's name and its values, which are
    only valid during the call. What it raises ends the run.
    """

    def __init__(self, tensor: str, output: str, show: Show) -> None:
        self.tensor, self.show = tensor, show
        key = next(_KEYS)
        _WATCHES[key] = self
        self.node = helper.make_node("Watch", [tensor], [output], output, domain=DOMAIN, key=key)


_KEYS = count()
_WATCHES: WeakValueDictionary[int, Watch] = WeakValueDictionary()


def _hand_over(key: int, values: memoryview) -> None:
    watch = _WATCHES[key]
    watch.show(watch.tensor, np.asarray(values))
