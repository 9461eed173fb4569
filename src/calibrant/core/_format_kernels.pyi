import numpy as np
from numpy.typing import NDArray

def encode(
    values: NDArray[np.float32],
    steps: NDArray[np.float32],
    zeros: NDArray[np.float32],
    bases: NDArray[np.float32],
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    bits: int,
    codes: NDArray[np.int8],
    /,
) -> None: ...
def extremes(
    values: NDArray[np.float32], lows: NDArray[np.float32], highs: NDArray[np.float32], /
) -> None: ...
