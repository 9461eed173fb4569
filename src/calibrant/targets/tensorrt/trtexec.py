"""How TensorRT's own command builds an engine from what a study wrote."""

from __future__ import annotations

import shlex


def trtexec_line(model: str, engine: str, calibration: str | None = None, *, fp16: bool = False) -> str:
    """The shell command that builds an engine, to be run in the folder of its files.

    model: the Q/DQ model, or the float model that ``calibration`` (a calibration cache) is for.
    fp16: let layers that stay in float use FP16. TensorRT's documentation, "trtexec": with ``--calib``
    scales are read from the cache; with Q/DQ nodes ``--int8`` allows what the nodes ask for.
    """
    parts = ["trtexec", f"--onnx={model}", "--int8"]
    parts += ["--fp16"] if fp16 else []
    parts += [f"--calib={calibration}"] if calibration else []
    return shlex.join([*parts, f"--saveEngine={engine}"])
