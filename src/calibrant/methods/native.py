"""Which format a weight came from: the one that gives it back to the bit."""

from __future__ import annotations

import numpy as np

from calibrant.core.elements import BF16, E4M3, F16, F32, INT3, INT4, INT8, UINT4, FloatArray
from calibrant.core.formats import (
    Encoded,
    Format,
    Granularity,
    PerBlock,
    PerChannel,
    PerTensor,
    PerTile,
    decode,
    encode,
)
from calibrant.methods.grids import least_squares

_ROWS = 16
_BLOCKS: tuple[Granularity, ...] = tuple(PerBlock(-1, size) for size in (128, 64, 32, 16))
_WHOLE: tuple[Granularity, ...] = (PerTensor(), PerChannel(-2))
# From the fewest bits to the most; floats last, for their numbers hold those of short integers.
_CANDIDATES = (
    *(Format(element, each, F32) for element in (INT3, INT4) for each in (*_WHOLE, *_BLOCKS)),
    *(Format(UINT4, each, F16, symmetric=False, minimum=True) for each in _BLOCKS),
    *(Format(UINT4, each, F32, symmetric=False) for each in (*_WHOLE, *_BLOCKS)),
    *(Format(INT8, each, F32) for each in (*_WHOLE, *_BLOCKS)),
    *(Format(E4M3, each, F32) for each in (*_WHOLE, PerTile(128, 128))),
)


def native_encoding(weight: FloatArray) -> Encoded | None:
    """How a weight (out, K) can be stored without loss, in the fewest bits; None: in no usual format.

    A block is recognised where it uses the largest number of its format, or for a zero point or a minimum
    both ends; of blocks that do not, another scale may be found or none. Scales are float32, or shorter where
    all fit: bf16, then f16.
    """
    given = np.ascontiguousarray(weight, np.float32)
    sample = given[: _ROWS * 8 : 8] if len(given) >= _ROWS * 8 else given
    for form in _CANDIDATES:
        if _fits(form, given.shape[1]) and _exact(sample, form) is not None:
            found = _exact(given, form)
            if found is not None:
                return _shortened(given, found)
    return None


def _fits(form: Format, inputs: int) -> bool:
    return not isinstance(form.granularity, PerBlock) or inputs % form.granularity.size == 0


def _exact(weight: FloatArray, form: Format) -> Encoded | None:
    encoded = encode(weight, form, least_squares(weight, form))
    return encoded if np.array_equal(decode(encoded), weight) else None


def _shortened(weight: FloatArray, found: Encoded) -> Encoded:
    if found.format.minimum or found.format.element == E4M3:
        return found
    for scale_type in (BF16, F16):
        if np.array_equal(scale_type.round(found.grid.scale), found.grid.scale):
            shorter = _exact(weight, Format(found.format.element, found.format.granularity, scale_type,
                                            symmetric=found.format.symmetric))  # fmt: skip
            if shorter is not None:
                return shorter
    return found
