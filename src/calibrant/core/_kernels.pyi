import numpy as np
from numpy.typing import NDArray

def count_magnitudes(
    values: NDArray[np.float32],
    start: int,
    anchor: np.float32,
    limit: np.float32,
    hot: int,
    cells: NDArray[np.uint32],
    keys: NDArray[np.int64],
    /,
) -> int: ...
