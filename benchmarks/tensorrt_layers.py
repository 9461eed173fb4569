"""What TensorRT (8.5 to 10) makes of a float model and a calibration cache: each layer's formats, as JSON.

    /opt/trt-8.5/bin/python benchmarks/tensorrt_layers.py model.onnx minmax.cache layers.json [quick|thorough]

Needs TensorRT and a GPU, nothing of Calibrant. The file is what tests/golden/*-implicit-models.json holds of
a model: for every layer its name, kind, and its inputs and outputs, each INT8, FP16 or FP32. To hold it
against ``calibrant inspect model.onnx --scheme tensorrt-implicit``. The cache is one that names every tensor,
as ``calibrant calibrate --deploy cache`` writes it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tensorrt as trt

KINDS = {"Int8": "INT8", "FP16": "FP16", "FP32": "FP32"}


class FromCache(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]
    """Gives TensorRT the scales; what it asks for beyond them is told, and refused."""

    def __init__(self, cache: bytes) -> None:
        trt.IInt8EntropyCalibrator2.__init__(self)
        self.cache, self.was_refused = cache, False

    def get_batch_size(self) -> int:
        return 1

    def get_batch(self, names: Any, *_: Any) -> None:  # noqa: ARG002
        self.was_refused = True

    def read_calibration_cache(self, *_: Any) -> bytes:
        return self.cache

    def write_calibration_cache(self, cache: Any, *_: Any) -> None: ...


def with_header(cache: bytes) -> bytes:
    """The scales under the header that this TensorRT reads for an Entropy-v2 calibrator."""
    parts = [int(part) for part in trt.__version__.split(".")[:3]]
    first, second = (1000, 100) if parts[0] < 10 else (10000, 100)
    number = parts[0] * first + parts[1] * second + parts[2]
    return f"TRT-{number}-EntropyCalibration2\n".encode() + cache.partition(b"\n")[2]


def engine_of(model: Path, cache: bytes, quick: bool) -> Any:
    """The engine, built with detailed names of its layers."""
    logger = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(logger, "")
    builder = trt.Builder(logger)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        sys.exit("; ".join(str(parser.get_error(index)) for index in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_flag(trt.BuilderFlag.INT8)
    config.int8_calibrator = calibrator = FromCache(with_header(cache))
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if quick and hasattr(config, "builder_optimization_level"):
        config.builder_optimization_level = 2
    elif quick:
        config.set_flag(trt.BuilderFlag.ENABLE_TACTIC_HEURISTIC)
    plan = builder.build_serialized_network(network, config)
    if plan is None or calibrator.was_refused:
        sys.exit("no engine was built" if plan is None else "the cache was not accepted")
    return trt.Runtime(logger).deserialize_cuda_engine(plan)


def tensors(described: list[dict[str, Any]]) -> list[list[str]]:
    """Each tensor's name and what it is kept as."""
    return [
        [
            tensor["Name"],
            next((kind for key, kind in KINDS.items() if key in tensor["Format/Datatype"]), "other"),
        ]
        for tensor in described
    ]


def main() -> None:
    """Build, ask the inspector, write."""
    model, cache, out = map(Path, sys.argv[1:4])
    engine = engine_of(model, cache.read_bytes(), "quick" in sys.argv[4:])
    text = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    layers = [
        [layer["Name"], layer["LayerType"], tensors(layer["Inputs"]), tensors(layer["Outputs"])]
        for layer in json.loads(text)["Layers"]
    ]
    out.write_text(json.dumps({"tensorrt": trt.__version__, "layers": layers}, indent=1))
    integers = sum(any(kind == "INT8" for _, kind in read) for _, _, read, _ in layers)
    sys.stdout.write(f"{len(layers)} layers, {integers} read INT8: {out}\n")


if __name__ == "__main__":
    main()
