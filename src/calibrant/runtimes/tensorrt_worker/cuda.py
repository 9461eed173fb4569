"""The little of CUDA that an engine needs, through the driver's own library."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIBRARY = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
_COMPUTE_CAPABILITY = (75, 76)  # the driver's numbers for its major and minor part


class CudaError(RuntimeError):
    """A call of the CUDA driver failed."""


class Cuda:
    """Device memory, a stream and events on the first visible GPU, for as long as the process lives."""

    def __init__(self) -> None:
        try:
            self._driver = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise CudaError(f"no NVIDIA driver is here ({error})") from None
        self._call("cuInit", 0)
        self._device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(self._device), 0)
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        self._call("cuCtxSetCurrent", context)
        self.stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self.stream), 0)

    def describe(self) -> dict[str, str]:
        """The GPU's name and compute capability."""
        name = ctypes.create_string_buffer(100)
        self._call("cuDeviceGetName", name, 100, self._device)
        parts = []
        for attribute in _COMPUTE_CAPABILITY:
            part = ctypes.c_int()
            self._call("cuDeviceGetAttribute", ctypes.byref(part), attribute, self._device)
            parts.append(str(part.value))
        return {"device": name.value.decode(), "compute": ".".join(parts)}

    def allocate(self, size: int) -> int:
        """Reserve device memory and give its address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        return address.value

    def pinned(self, shape: Sequence[int], dtype: Any) -> Any:
        """An array in page-locked memory, which the GPU copies from and to at full speed."""
        kind = np.dtype(dtype)
        size = max(int(np.prod(shape, dtype=np.int64)) * kind.itemsize, 1)
        address = ctypes.c_void_p()
        self._call("cuMemAllocHost_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return np.ndarray(shape, kind, (ctypes.c_uint8 * size).from_address(address.value or 0))

    def upload(self, address: int, array: Any) -> None:
        """Queue a copy from a host array to the device."""
        source, size = array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), source, size, self.stream)

    def download(self, array: Any, address: int) -> None:
        """Queue a copy from the device into a host array."""
        target, size = array.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(array.nbytes)
        self._call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(address), size, self.stream)

    def event(self) -> ctypes.c_void_p:
        """A point in time of the stream, to be recorded."""
        event = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(event), 0)
        return event

    def record(self, event: ctypes.c_void_p) -> None:
        """Let the event happen when the stream gets here."""
        self._call("cuEventRecord", event, self.stream)

    def milliseconds(self, start: ctypes.c_void_p, end: ctypes.c_void_p) -> float:
        """The time between two events that have happened."""
        elapsed = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), start, end)
        return elapsed.value

    def wait(self) -> None:
        """Wait until the stream has done everything."""
        self._call("cuStreamSynchronize", self.stream)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise CudaError(f"CUDA error {code} in {name}")
