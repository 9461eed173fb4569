import numpy as np
from numpy.typing import NDArray

def bits_below_best(scores: NDArray[np.float32], most: int, /) -> int: ...
def greedily_kept(
    boxes: NDArray[np.float32], classes: NDArray[np.int64], class_count: int, iou: np.float32, most: int, /
) -> NDArray[np.int64]: ...
def matches(
    found: NDArray[np.float64],
    found_keys: NDArray[np.int64],
    labelled: NDArray[np.float64],
    labelled_keys: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
    /,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]: ...
