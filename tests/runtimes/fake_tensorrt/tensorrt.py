# ruff: noqa: N802, N815
"""A stand-in for NVIDIA's tensorrt on machines without a GPU, for tests of the worker and of studies.

It has the few names of TensorRT 8.5's Python API that the worker uses. An engine is the ONNX file itself,
run by ONNX Runtime on the CPU; device memory is host memory, behind the functions of CUDA's driver, which
importing this module puts in libcuda's place. What TensorRT does wrong on a bad day can be asked for with
STAND_IN in the environment: "crash", "hang", "noise", "no-calibrators" or "warnings". As in TensorRT, the
bindings of an engine stand in an order of their own. STAND_IN_VERSION is the version
that it plays: names that came later are missing from it, and those that a later one removed are gone.
"""

from __future__ import annotations

import ctypes
import enum
import os
import signal
import struct
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

__version__ = os.environ.get("STAND_IN_VERSION", "8.5.1.7")
_BAD_DAY = os.environ.get("STAND_IN", "")
_MAJOR, _MINOR = (int(part) for part in __version__.split(".")[:2])
_STRONGLY_TYPED_ONLY = _MAJOR >= 11  # no precision flags, no calibrators, no implicit batch to choose

if _BAD_DAY == "noise":
    sys.stdout.write("TensorRT greets everybody on stdout\n")


# --- CUDA ---------------------------------------------------------------------------------------------


class _Driver:
    """The driver's functions, on host memory; times are those of the clock."""

    def __init__(self):
        self._kept = []

    def cuInit(self, flags):
        return 0

    def cuDeviceGet(self, device, ordinal):
        return 0

    def cuDevicePrimaryCtxRetain(self, context, device):
        return 0

    def cuCtxSetCurrent(self, context):
        return 0

    def cuStreamCreate(self, stream, flags):
        return 0

    def cuStreamSynchronize(self, stream):
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = b"Stand-in GPU"
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0

    def cuMemAlloc_v2(self, address, size):
        self._kept.append(ctypes.create_string_buffer(size.value))
        address._obj.value = ctypes.addressof(self._kept[-1])
        return 0

    cuMemAllocHost_v2 = cuMemAlloc_v2

    def cuMemcpyHtoDAsync_v2(self, target, source, size, stream):
        ctypes.memmove(target.value, source, size.value)
        return 0

    def cuMemcpyDtoHAsync_v2(self, target, source, size, stream):
        ctypes.memmove(target, source.value, size.value)
        return 0

    def cuEventCreate(self, event, flags):
        self._kept.append(ctypes.c_double())
        event._obj.value = ctypes.addressof(self._kept[-1])
        return 0

    def cuEventRecord(self, event, stream):
        ctypes.c_double.from_address(event.value).value = time.perf_counter()
        return 0

    def cuEventElapsedTime(self, elapsed, start, end):
        first, last = (ctypes.c_double.from_address(event.value).value for event in (start, end))
        elapsed._obj.value = 1000 * (last - first)
        return 0


_load_library = ctypes.CDLL
ctypes.CDLL = lambda name, *rest, **more: (
    _Driver() if name == "libcuda.so.1" else _load_library(name, *rest, **more)
)


# --- TensorRT -----------------------------------------------------------------------------------------


class DataType(enum.Enum):
    FLOAT = "float32"
    INT64 = "int64"


class TensorIOMode(enum.Enum):
    INPUT = 0
    OUTPUT = 1


class LayerType(enum.Enum):
    QUANTIZE = 0
    OTHER = 1


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1
    if not _STRONGLY_TYPED_ONLY:
        EXPLICIT_BATCH = 0


class BuilderFlag(enum.Enum):
    TF32 = 0
    if not _STRONGLY_TYPED_ONLY:
        INT8 = 1
        FP16 = 2
        if _MAJOR >= 10:
            BF16 = 4
    if _MAJOR < 10:
        ENABLE_TACTIC_HEURISTIC = 3


class ILogger:
    class Severity(enum.Enum):
        ERROR = 1
        WARNING = 2
        INFO = 3

    def __init__(self):
        pass


def init_libnvinfer_plugins(logger, namespace):
    logger.log(ILogger.Severity.INFO, "Registered plugins")
    return True


class _Calibrator:
    header = ""

    def __init__(self):
        pass


if _BAD_DAY != "no-calibrators" and not _STRONGLY_TYPED_ONLY:

    class IInt8MinMaxCalibrator(_Calibrator):
        algorithm = "MinMaxCalibration"

    class IInt8EntropyCalibrator2(_Calibrator):
        algorithm = "EntropyCalibration2"

    class IInt8EntropyCalibrator(_Calibrator):
        algorithm = "EntropyCalibration"

    class IInt8LegacyCalibrator(_Calibrator):
        algorithm = "Legacy"


class _Tensor:
    def __init__(self, name, shape):
        self.name, self.shape = name, shape


class _Layer:
    def __init__(self, op_type):
        self.type = LayerType.QUANTIZE if op_type == "QuantizeLinear" else LayerType.OTHER


class _Network:
    model = None

    @property
    def num_inputs(self):
        return len(self.model.graph.input)

    def get_input(self, index):
        value = self.model.graph.input[index]
        dims = value.type.tensor_type.shape.dim
        return _Tensor(value.name, tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims))

    @property
    def num_layers(self):
        return len(self.model.graph.node)

    def get_layer(self, index):
        return _Layer(self.model.graph.node[index].op_type)


class OnnxParser:
    def __init__(self, network, logger):
        self._network, self._logger, self._errors = network, logger, []

    def parse_from_file(self, path):
        try:
            self._network.model = onnx.load(path)
            onnx.checker.check_model(self._network.model)
        except Exception as error:
            self._errors.append(f"In node -1 (importModel): UNSUPPORTED_NODE: {type(error).__name__}")
            self._logger.log(ILogger.Severity.ERROR, "ModelImporter.cpp:735: Failed to parse ONNX model")
            return False
        return True

    @property
    def num_errors(self):
        return len(self._errors)

    def get_error(self, index):
        return self._errors[index]


class _TimingCache:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return self.content + b"."


class _Config:
    """Takes only the attributes that this version has."""

    __slots__ = (
        "_timing",
        "avg_timing_iterations",
        "flags",
        *(() if _STRONGLY_TYPED_ONLY else ("int8_calibrator",)),
        *(("max_workspace_size", "min_timing_iterations") if _MAJOR < 10 else ()),
        *(("builder_optimization_level",) if (_MAJOR, _MINOR) >= (8, 6) else ()),
    )

    def __init__(self):
        self.flags, self._timing = {BuilderFlag.TF32}, None
        for name in set(self.__slots__) - {"flags", "_timing"}:
            setattr(self, name, None)

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def create_timing_cache(self, content):
        return _TimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        self._timing = cache
        return True

    def get_timing_cache(self):
        return self._timing


class Builder:
    def __init__(self, logger):
        self._logger = logger

    def create_network(self, flags):
        return _Network()

    def create_builder_config(self):
        return _Config()

    def build_serialized_network(self, network, config):
        os.write(1, b"a library prints to stdout while it builds\n")
        self._have_a_bad_day()
        quantized = any(node.op_type == "QuantizeLinear" for node in network.model.graph.node)
        if quantized and not _STRONGLY_TYPED_ONLY and BuilderFlag.INT8 not in config.flags:
            self._logger.log(ILogger.Severity.ERROR, "Q/DQ layers need the INT8 flag")
            return None
        if BuilderFlag.TF32 in config.flags:
            raise AssertionError("TF32 is on")
        if any(node.op_type == "Erf" for node in network.model.graph.node):
            self._logger.log(ILogger.Severity.ERROR, "10: Could not find any implementation for node Erf")
            return None
        calibrator = getattr(config, "int8_calibrator", None)
        if calibrator is not None and not _calibrated(network, calibrator):
            return None
        if _BAD_DAY == "warnings":
            for name in ("(Unnamed Layer* 3) [Constant]_output", "hidden", "y 2"):
                self._logger.log(
                    ILogger.Severity.WARNING,
                    f"Missing scale and zero-point for tensor {name}, expect fall back to non-int8 "
                    "implementation for any layer consuming or producing given tensor",
                )
            self._logger.log(ILogger.Severity.WARNING, "TensorRT was linked against cuDNN 8.6.0\nnot 8.5")
        _note(f"{sorted(flag.name for flag in config.flags)} {_level(config)}")
        return network.model.SerializeToString()

    def _have_a_bad_day(self):
        if _BAD_DAY == "crash":
            self._logger.log(
                ILogger.Severity.ERROR, "1: [convolutionRunner.cpp] Cask error: misaligned address"
            )
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGSEGV)
        if _BAD_DAY == "hang":
            time.sleep(600)


def _level(config):
    return getattr(config, "builder_optimization_level", None)


def _note(text):
    """Keep how an engine was built, where a test asks for it with STAND_IN_NOTES."""
    if "STAND_IN_NOTES" in os.environ:
        with Path(os.environ["STAND_IN_NOTES"]).open("a") as notes:
            notes.write(f"{text}\n")


def _calibrated(network, calibrator):
    """Read the cache, or calibrate: the scale of each input is its largest magnitude / 127."""
    number = "".join(part for part in __version__.split(".")[:3])
    header = f"TRT-{number[0]}{int(number[1]):01d}{int(number[2]):02d}-{calibrator.algorithm}"
    cache = calibrator.read_calibration_cache()
    if cache and (cache.decode().startswith(header) or calibrator.algorithm == "Legacy"):
        return True
    names = [value.name for value in network.model.graph.input]
    largest = dict.fromkeys(names, 0.0)
    batches = 0
    while (addresses := calibrator.get_batch(names)) is not None:
        batches += 1
        for index, (name, address) in enumerate(zip(names, addresses, strict=True)):
            count = int(np.prod(network.get_input(index).shape))
            values = np.frombuffer((ctypes.c_float * count).from_address(address), np.float32)
            largest[name] = max(largest[name], float(np.abs(values).max()))
    if not batches:
        return False
    lines = [f"{name}: {struct.pack('>f', value / 127).hex()}" for name, value in largest.items()]
    calibrator.write_calibration_cache("\n".join([header, *lines, ""]).encode())
    return True


class _Context:
    def __init__(self, engine):
        self._engine, self._addresses = engine, {}

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        session = self._engine.session
        feeds = {value.name: self._array(value) for value in session.get_inputs()}
        for value, result in zip(session.get_outputs(), session.run(None, feeds), strict=True):
            self._array(value)[...] = result
        return True

    def _array(self, value):
        kind = np.dtype(self._engine.get_tensor_dtype(value.name).value)
        shape = self._engine.get_tensor_shape(value.name)
        size = int(np.prod(shape)) * kind.itemsize
        memory = (ctypes.c_uint8 * size).from_address(self._addresses[value.name])
        return np.frombuffer(memory, kind).reshape(shape)


class _Engine:
    def __init__(self, plan):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(plan, options, providers=["CPUExecutionProvider"])
        self._inputs = {value.name: value for value in self.session.get_inputs()}
        self._values = {**self._inputs, **{value.name: value for value in self.session.get_outputs()}}

    @property
    def num_io_tensors(self):
        return len(self._values)

    def get_tensor_name(self, index):
        return sorted(self._values, reverse=True)[index]

    def get_tensor_shape(self, name):
        return tuple(size if isinstance(size, int) else -1 for size in self._values[name].shape)

    def get_tensor_dtype(self, name):
        return {"tensor(float)": DataType.FLOAT, "tensor(int64)": DataType.INT64}[self._values[name].type]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def create_execution_context(self):
        return _Context(self)


class Runtime:
    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, plan):
        return _Engine(plan)
