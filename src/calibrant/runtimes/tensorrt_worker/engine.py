"""Running an engine, and timing it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .failures import TensorRTError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .cuda import Cuda

_NUMPY_NAMES = {"FLOAT": "float32", "HALF": "float16"}


class Engine:
    """A deserialized engine with its buffers; every input and output has a fixed shape."""

    def __init__(self, trt: Any, cuda: Cuda, logger: Any, plan: bytes) -> None:
        self._cuda = cuda
        self._runtime = trt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise TensorRTError("it cannot load the engine")
        self._context = self._engine.create_execution_context()
        self._host: dict[str, Any] = {}
        self._device: dict[str, int] = {}
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        for index in range(self._engine.num_io_tensors):
            self._bind(trt, self._engine.get_tensor_name(index))
        self._start, self._end = cuda.event(), cuda.event()

    def _bind(self, trt: Any, name: str) -> None:
        shape = tuple(self._engine.get_tensor_shape(name))
        if -1 in shape:
            raise TensorRTError(f"tensor {name!r} has a shape that depends on the data: {shape}")
        self._host[name] = self._cuda.pinned(shape, _numpy_name(self._engine.get_tensor_dtype(name)))
        self._device[name] = self._cuda.allocate(self._host[name].nbytes)
        self._context.set_tensor_address(name, self._device[name])
        is_input = self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        (self._inputs if is_input else self._outputs).append(name)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Run once and give copies of the outputs. Raises TensorRTError for feeds that do not fit."""
        self._stage(feeds)
        self._execute()
        return {name: self._host[name].copy() for name in self._outputs}

    def measure(self, feeds: Mapping[str, Any], runs: int, warmup: int) -> dict[str, Any]:
        """Milliseconds of each run: of all of it, copies included, and of the GPU's computing alone."""
        self._stage(feeds)
        for _ in range(warmup):
            self._execute()
        times = np.array([self._execute() for _ in range(runs)], np.float64).reshape(runs, 2)
        return {"total_ms": times[:, 0], "device_ms": times[:, 1]}

    def _stage(self, feeds: Mapping[str, Any]) -> None:
        if set(feeds) != set(self._inputs):
            raise TensorRTError(f"the model's inputs are {sorted(self._inputs)}, not {sorted(feeds)}")
        for name, array in feeds.items():
            if array.shape != self._host[name].shape:
                raise TensorRTError(f"{name!r} has shape {array.shape}, not {self._host[name].shape}")
        for name, array in feeds.items():
            np.copyto(self._host[name], array, casting="unsafe")

    def _execute(self) -> tuple[float, float]:
        started = time.perf_counter()
        for name in self._inputs:
            self._cuda.upload(self._device[name], self._host[name])
        self._cuda.record(self._start)
        if not self._context.execute_async_v3(self._cuda.stream.value):
            raise TensorRTError("it could not run the engine")
        self._cuda.record(self._end)
        for name in self._outputs:
            self._cuda.download(self._host[name], self._device[name])
        self._cuda.wait()
        return 1000 * (time.perf_counter() - started), self._cuda.milliseconds(self._start, self._end)


def _numpy_name(dtype: Any) -> str:
    """The numpy name of a TensorRT type: TensorRT 8's own table fails where numpy has no np.bool."""
    name = str(dtype).rpartition(".")[2]
    return _NUMPY_NAMES.get(name, name.lower())
