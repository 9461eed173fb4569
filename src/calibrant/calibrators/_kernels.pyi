import numpy as np
from numpy.typing import NDArray

def bins_of_least_divergence(counts: NDArray[np.int64], /) -> int: ...
def squared_errors(
    counts: NDArray[np.int64], limit: float, thresholds: NDArray[np.float64], levels: float, /
) -> NDArray[np.float64]: ...
