"""A metric of your own for detectors: the share of labelled objects that the model misses. Less is better.

Where this file is: ``calibrant study m.onnx --calib calib --data data.yaml --metric own_metric:missed``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import calibrant

SURE = 0.25


@calibrant.metric(direction="minimize", unit="points")
def missed(sample: Any, prediction: Any) -> tuple[int, int]:
    """Objects of whose class the model is sure of fewer than there are, of all objects."""
    found = prediction.classes[prediction.scores >= SURE]
    wanted = sample.truth.classes[~sample.truth.crowd]
    lacking = sum(
        max(0, int((wanted == kind).sum()) - int((found == kind).sum())) for kind in np.unique(wanted)
    )
    return lacking, len(wanted)
