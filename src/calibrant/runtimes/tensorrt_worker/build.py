"""From an ONNX file to an engine file, by way of TensorRT's parser and builder."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .calibrate import make_calibrator
from .failures import TensorRTError, require
from .files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cuda import Cuda
    from .messages import Channel

QUICK = "quick"
PRECISIONS = ("fp16", "bf16")
_HEURISTIC_LEVEL = 2  # what took the place of TensorRT 8.5's flag, by NVIDIA's documentation


def build(
    trt: Any, cuda: Cuda, channel: Channel, logger: Any, request: Mapping[str, Any]
) -> dict[str, float]:
    """Build an engine from the ONNX file ``model`` into the file ``plan``; gives the seconds it took.

    Raises TensorRTError.
    """
    started = time.perf_counter()
    builder = trt.Builder(logger)
    network = _parsed(trt, builder, logger, request["model"])
    config = builder.create_builder_config()
    calibrator = make_calibrator(trt, cuda, channel, request) if request["algorithm"] else None
    _configure(trt, config, network, request["precision"], calibrator)
    if request["effort"] == QUICK:
        _hurry(trt, config)
    remembers = _with_timing_cache(config, request["timing_cache"])
    plan = builder.build_serialized_network(network, config)
    if calibrator is not None and calibrator.complaint:
        raise TensorRTError(calibrator.complaint)
    if plan is None:
        raise TensorRTError("it built no engine")
    write_atomically(request["plan"], bytes(plan))
    if remembers:
        write_atomically(request["timing_cache"], bytes(config.get_timing_cache().serialize()))
    return {"seconds": time.perf_counter() - started}


def _parsed(trt: Any, builder: Any, logger: Any, path: str) -> Any:
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(path):
        raise TensorRTError("; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    for index in range(network.num_inputs):
        if -1 in network.get_input(index).shape:
            name = network.get_input(index).name
            raise TensorRTError(f"input {name!r} has a dynamic shape; fix its size in the ONNX file")
    return network


def _configure(trt: Any, config: Any, network: Any, precision: str, calibrator: Any) -> None:
    """Never TF32; INT8 where the network or a calibrator asks for it; FP16 or BF16 where the user does.

    Each kernel is timed once: accuracy does not depend on it, and building takes half the time.
    """
    flags = trt.BuilderFlag
    config.avg_timing_iterations = 1
    if hasattr(config, "min_timing_iterations"):
        config.min_timing_iterations = 1
    if hasattr(flags, "TF32"):
        config.clear_flag(flags.TF32)
    if precision in PRECISIONS:
        name = precision.upper()
        require(flags, name, f"its networks run in the types they are written in; give it an {name} model")
        config.set_flag(getattr(flags, name))
    quantized = any(network.get_layer(i).type == trt.LayerType.QUANTIZE for i in range(network.num_layers))
    if (quantized or calibrator is not None) and hasattr(flags, "INT8"):
        config.set_flag(flags.INT8)
    if calibrator is not None:
        config.int8_calibrator = calibrator


def _hurry(trt: Any, config: Any) -> None:
    """Let heuristics choose among the kernels, instead of timing each: results stay, latency may grow."""
    if hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = _HEURISTIC_LEVEL
    elif hasattr(trt.BuilderFlag, "ENABLE_TACTIC_HEURISTIC"):
        config.set_flag(trt.BuilderFlag.ENABLE_TACTIC_HEURISTIC)


def _with_timing_cache(config: Any, path: str) -> bool:
    """Let the builder remember which kernels were quickest: the network's next engine builds faster."""
    content = b""
    with contextlib.suppress(OSError):
        content = Path(path).read_bytes()
    cache = config.create_timing_cache(content) or config.create_timing_cache(b"")
    return cache is not None and bool(config.set_timing_cache(cache, False))
