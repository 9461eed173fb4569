"""The process in which TensorRT-RTX runs: it may crash without taking Calibrant with it.

Started by tensorrt_rtx.py as ``python -P -m calibrant.runtimes.tensorrt_rtx_worker MODEL.onnx``; writes one
JSON object to its standard output, whatever the vendor's library prints.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

# What a dynamic dimension is built with: batch 1, and a size that detectors' strides divide.
_BATCH, _SIZE = 1, 640


def main(model: str) -> None:
    """Parse and build ``model`` and report."""
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    report = _report_on(model)
    os.write(answer, json.dumps(report).encode())


def _report_on(model: str) -> dict[str, Any]:
    try:
        import tensorrt_rtx as trt
    except Exception as error:  # a library that is missing or does not fit raises anything
        return {"status": "unusable", "words": f"{type(error).__name__}: {error}"}
    return {"version": str(trt.__version__), **_parse_and_build(trt, model)}


def _parse_and_build(trt: Any, model: str) -> dict[str, Any]:
    complaints: list[str] = []
    logger = _logger_into(trt, complaints)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(model):
        words = [str(parser.get_error(index).desc()) for index in range(parser.num_errors)]
        return {"status": "not parsed", "words": " | ".join(words or complaints)}
    config = builder.create_builder_config()
    shapes = _fix_dynamic_inputs(builder, network, config)
    begin = time.perf_counter()
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        return {"status": "not built", "words": " | ".join(complaints), "shapes": shapes}
    return {
        "status": "built",
        "seconds": round(time.perf_counter() - begin, 3),
        "engine_bytes": int(engine.nbytes),
        "shapes": shapes,
    }


def _fix_dynamic_inputs(builder: Any, network: Any, config: Any) -> dict[str, list[int]]:
    """Give each dynamic input one shape to be built for; returns those shapes."""
    shapes = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        dims = list(tensor.shape)
        if -1 in dims:
            fixed = [(_SIZE if axis else _BATCH) if dim == -1 else dim for axis, dim in enumerate(dims)]
            shapes[str(tensor.name)] = fixed
    if shapes:
        profile = builder.create_optimization_profile()
        for name, fixed in shapes.items():
            profile.set_shape(name, fixed, fixed, fixed)
        config.add_optimization_profile(profile)
    return shapes


def _logger_into(trt: Any, complaints: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]  # the vendor's package has no types
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                complaints.append(str(message))

    return Logger()


if __name__ == "__main__":
    main(sys.argv[1])
