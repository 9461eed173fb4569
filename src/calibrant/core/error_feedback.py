"""Rounding columns one after the other, each handing what it loses on to those that follow.

What an output loses is ``e H e``, with e what its weights lose and H the second moments of what they read.
With ``H = U D U'`` (U unit upper triangular) that is ``sum(D[k] * (e[k] + sum(e[i] * U[i, k] for i <
k))**2``: so that column k is rounded as if its weight were ``w[k] + sum(e[i] * U[i, k])``. This is GPTQ (E.
Frantar et al., 2022, section 3) without its inverse: J. Chee et al., QuIP: 2-Bit Quantization of Large
Language Models with Guarantees, 2023, theorem 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import NumericsError

Array = TypeVar("Array", NDArray[np.float32], NDArray[np.float64])
RoundBlock: TypeAlias = Callable[[slice, Any, Any], Any]
"""(columns, what they would have to be (rows, width), what goes between them) -> what they lose."""

DAMPING = 0.01
"""What is added to every input's second moment, as a share of their mean: inputs that calibration did not
tell apart stay apart."""

BLOCK = 128


def damped(moments: Array, damping: float = DAMPING) -> Array:
    """Second moments (K, K) with ``damping`` times their mean on the diagonal, or ones where all are zero."""
    mean = float(np.diagonal(moments).mean(dtype=np.float64))
    result = moments.copy()
    result[np.diag_indices_from(result)] += moments.dtype.type(damping * mean if mean > 0 else 1.0)
    return result


def feedback(moments: Array) -> tuple[Array, Array]:
    """U (K, K) and D (K,) of ``U D U' = moments``: how columns make up for earlier ones, and count.

    moments: positive definite. Where single precision is too coarse for them, double is taken. Raises
    NumericsError where they are not positive definite.
    """
    turned = moments[::-1, ::-1]
    try:
        lower = np.linalg.cholesky(turned)
    except np.linalg.LinAlgError:
        lower = _in_double(turned)
    upper = lower[::-1, ::-1]
    scale = np.diagonal(upper)
    return np.ascontiguousarray(upper / scale, moments.dtype), np.square(scale).astype(moments.dtype)


def hand_on(weights: Array, between: Array, round_block: RoundBlock) -> Array:
    """Round all columns, a block at a time; gives what they lose, (rows, K).

    weights: (rows, K). between: of ``feedback``. round_block rounds a block's columns in their order and
    hands their losses on inside of the block.
    """
    lost = np.zeros_like(weights)
    for start in range(0, weights.shape[1], BLOCK):
        columns = slice(start, min(start + BLOCK, weights.shape[1]))
        wanted = weights[:, columns] + lost[:, :start] @ between[:start, columns]
        lost[:, columns] = round_block(columns, wanted, between[columns, columns])
    return lost


def _in_double(turned: NDArray[Any]) -> NDArray[np.float64]:
    try:
        return np.asarray(np.linalg.cholesky(turned.astype(np.float64)))
    except np.linalg.LinAlgError:
        raise NumericsError(
            "second moments of a layer's inputs are not positive definite, even damped; look for NaN, Inf or "
            "huge activations"
        ) from None
