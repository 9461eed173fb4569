"""TensorRT's own calibrators (up to TensorRT 10), fed by the host or by a calibration cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .failures import require
from .files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .cuda import Cuda
    from .messages import Channel

_CLASSES = {
    "minmax": "IInt8MinMaxCalibrator",
    "entropy2": "IInt8EntropyCalibrator2",
    "entropy": "IInt8EntropyCalibrator",
    "legacy": "IInt8LegacyCalibrator",
}
_CUTOFF = 1.0  # Legacy's regression is unpublished; at this cutoff it plays no part


def make_calibrator(trt: Any, cuda: Cuda, channel: Channel, request: Mapping[str, Any]) -> Any:
    """A calibrator of TensorRT's class for ``algorithm``. Raises TensorRTError where it is gone."""
    require(trt, _CLASSES[request["algorithm"]], "use int8=explicit")
    base = getattr(trt, _CLASSES[request["algorithm"]])

    class Calibrator(HostCalibrator, base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            base.__init__(self)
            HostCalibrator.__init__(self, cuda, channel, request)

    return Calibrator()


class HostCalibrator:
    """What TensorRT asks of a calibrator: it reads the cache file ``scales``, or asks the host for batches.

    The cache that TensorRT computes goes to the file ``cache`` at once, long before the engine is done.
    """

    def __init__(self, cuda: Cuda, channel: Channel, request: Mapping[str, Any]) -> None:
        self._cuda, self._channel = cuda, channel
        self._scales = Path(request["scales"]).read_bytes() if request["scales"] else None
        self._cache, self._quantile = request["cache"], float(request["quantile"])
        self._buffers: dict[str, int] = {}
        self.complaint = ""

    def get_batch_size(self) -> int:
        """One sample at a time: the first batch's maxima anchor Entropy-v2's histograms."""
        return 1

    def get_batch(self, names: Sequence[str], *_: Any) -> list[int] | None:
        """Device addresses of the next sample's inputs, or None at the end."""
        if self._scales is not None:
            self.complaint = "it did not accept the calibration cache"
            return None
        self._channel.send({"kind": "want_batch"})
        header, arrays = self._channel.receive()
        if header["kind"] != "batch":
            return None
        return [self._uploaded(name, arrays[name]) for name in names]

    def _uploaded(self, name: str, batch: Any) -> int:
        array = np.asarray(batch, np.float32, order="C")
        if name not in self._buffers:
            self._buffers[name] = self._cuda.allocate(array.nbytes)
        self._cuda.upload(self._buffers[name], array)
        self._cuda.wait()
        return self._buffers[name]

    def read_calibration_cache(self, *_: Any) -> bytes | None:
        """The scales to use; without them TensorRT calibrates."""
        return self._scales

    def write_calibration_cache(self, cache: Any, *_: Any) -> None:
        """Keep what TensorRT computed."""
        if self._scales is None:
            write_atomically(self._cache, bytes(cache))

    def get_quantile(self) -> float:
        """Legacy's quantile."""
        return self._quantile

    def get_regression_cutoff(self) -> float:
        """Legacy's cutoff."""
        return _CUTOFF

    def read_histogram_cache(self, *_: Any) -> None:
        """Legacy may keep histograms between builds; it does not here."""

    def write_histogram_cache(self, *_: Any) -> None:
        """As above."""
