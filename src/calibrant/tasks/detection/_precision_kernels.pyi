import numpy as np
from numpy.typing import NDArray

def weighted_mean_precision(
    weights: NDArray[np.int64],
    starts: NDArray[np.int64],
    image: NDArray[np.int32],
    matched: NDArray[np.uint16],
    ignored: NDArray[np.uint16],
    truth_image: NDArray[np.int32],
    truth_class: NDArray[np.int32],
    steps: int,
    recalls: NDArray[np.float64],
    /,
) -> NDArray[np.float64]: ...
