import numpy as np
from numpy.typing import NDArray

def count_magnitudes(
    values: NDArray[np.float32],
    start: int,
    limit: np.float32,
    hot: int,
    cells: NDArray[np.int64],
    keys: NDArray[np.int64],
    /,
) -> int: ...
def lower_edge_values(
    values: NDArray[np.float32], anchor: np.float32, limit: np.float32, cells: NDArray[np.int64], /
) -> None: ...
