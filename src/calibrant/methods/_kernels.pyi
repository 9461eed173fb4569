import numpy as np
from numpy.typing import NDArray

def descend(
    stored: NDArray[np.float32],
    gradient: NDArray[np.float32],
    steps: NDArray[np.float32],
    zeros: NDArray[np.float32],
    bases: NDArray[np.float32],
    between: NDArray[np.float32],
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    lost: NDArray[np.float32],
    /,
) -> None: ...
def round_in_turn(
    given: NDArray[np.float32],
    moved: NDArray[np.float32],
    steps: NDArray[np.float32],
    zeros: NDArray[np.float32],
    bases: NDArray[np.float32],
    between: NDArray[np.float32],
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    lost: NDArray[np.float32],
    /,
) -> None: ...
def squared_errors(
    values: NDArray[np.float32],
    importance: NDArray[np.float32],
    steps: NDArray[np.float32],
    zeros: NDArray[np.float32],
    bases: NDArray[np.float32],
    lowest: float,
    highest: float,
    mantissa: int,
    least_exponent: int,
    errors: NDArray[np.float32],
    /,
) -> None: ...
