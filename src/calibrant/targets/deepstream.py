"""DeepStream: the configuration of its inference element, nvinfer, for a model with a cache.

Keys: NVIDIA's documentation, "Gst-nvinfer"; it computes ``net-scale-factor * (x - offsets)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calibrant.core.errors import SettingsError

INT8 = 1
_COLOURS = {"rgb": 0, "bgr": 1, "gray": 2, "grey": 2}
_CENTRED = "centre"


def nvinfer_configuration(
    model: str,
    cache: str,
    engine: str,
    shape: Sequence[int | None],
    preparation: Mapping[str, Any],
    outputs: Sequence[str],
) -> str:
    """The text of the configuration file.

    model, cache, engine: file names beside it. shape: the input's, [N, C, H, W]. preparation: how the run's
    profile prepares its input (``divide``, ``mean``, ``std``, ``colour``, ``resize``). Raises SettingsError
    where nvinfer cannot prepare it so.
    """
    scale, offsets = _scale_and_offsets(preparation)
    keeps_aspect = str(preparation.get("resize", "")).startswith("letterbox")
    lines = [
        "[property]",
        "gpu-id=0",
        f"onnx-file={model}",
        f"int8-calib-file={cache}",
        f"model-engine-file={engine}",
        f"network-mode={INT8}",
        f"batch-size={shape[0] or 1}",
        f"infer-dims={';'.join(str(size) for size in shape[1:])}",
        f"net-scale-factor={scale:.17g}",
        *([f"offsets={';'.join(f'{offset:.9g}' for offset in offsets)}"] if any(offsets) else []),
        f"model-color-format={_COLOURS[str(preparation.get('colour', 'rgb'))]}",
        f"maintain-aspect-ratio={int(keeps_aspect)}",
        f"symmetric-padding={int(keeps_aspect and preparation.get('align') == _CENTRED)}",
        f"output-blob-names={';'.join(outputs)}",
        "# Reading these outputs takes a parser of yours: nvinfer's keys custom-lib-path and parse-*.",
        "",
    ]
    return "\n".join(lines)


def _scale_and_offsets(preparation: Mapping[str, Any]) -> tuple[float, list[float]]:
    """(x / divide - mean) / std as ``scale * (x - offsets)``: one scale for all channels."""
    divide = float(preparation.get("divide", 1.0))
    means = [float(value) for value in preparation.get("mean", (0.0,))]
    deviations = {float(value) for value in preparation.get("std", (1.0,))}
    if len(deviations) > 1:
        raise SettingsError(
            f"DeepStream divides all channels by one number, and this model wants {sorted(deviations)}; put "
            "the division into the model (a Mul before its first layer) and study it again"
        )
    return 1.0 / (divide * deviations.pop()), [mean * divide for mean in means]
