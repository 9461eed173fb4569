import numpy as np
from numpy.typing import NDArray

def summarise(
    values: NDArray[np.float32],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    counts: NDArray[np.int64],
    outside: NDArray[np.int64],
    extremes: NDArray[np.float32],
    /,
) -> bool: ...
