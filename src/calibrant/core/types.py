"""The vocabulary of Calibrant: read this file first.

The values below walk through the house once, each made by one room and read by the next::

    model -> Statistics -> Range -> Encoding -> Q/DQ model -> Score -> Recommendation

What a task is stands in core/tasks.py, what it measures in core/metrics.py.

A :class:`Range` is in real units and says what a calibrator chose. An :class:`Encoding` is what goes
into a file and says how a tensor is stored. They are never mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calibrant.core.formats import PER_TENSOR, element_named
from calibrant.core.formats import Granularity as Granularity
from calibrant.core.formats import PerBlock as PerBlock
from calibrant.core.formats import PerChannel as PerChannel
from calibrant.core.formats import PerTensor as PerTensor
from calibrant.core.statistics import TensorStatistics

FloatArray: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]


# --- how a tensor is quantized ---------------------------------------------------------------------


@dataclass(frozen=True)
class QuantSpec:
    """How numbers of one kind of tensor are stored.

    ``dtype`` is an ONNX integer type name (``int8``, ``uint8``, ``int4``, ``uint4``; ``int32`` for biases);
    ``narrow`` leaves out the most negative value, so that the integer range is symmetric.
    """

    dtype: str = "int8"
    symmetric: bool = True
    granularity: Granularity = PER_TENSOR
    narrow: bool = False

    @property
    def qmin(self) -> int:
        """The smallest integer that is stored."""
        return int(element_named(self.dtype).lowest) + int(self.narrow)

    @property
    def qmax(self) -> int:
        """The largest integer that is stored."""
        return int(element_named(self.dtype).highest)


@dataclass(frozen=True)
class Range:
    """The real interval [low, high] that a calibrator keeps; values outside are clipped."""

    low: float
    high: float

    @property
    def amax(self) -> float:
        """The largest magnitude in the range, real units."""
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True)
class Encoding:
    """How a tensor is stored: ``real = (integer - zero_point) * scale``.

    ``scale`` is float32, real units per step, and ``zero_point`` is int64; both have shape () for
    per-tensor, (C,) for per-channel granularity, and per block that of the tensor with the axis divided by
    the blocks' size.
    """

    scale: FloatArray
    zero_point: IntArray
    spec: QuantSpec


@dataclass(frozen=True)
class Scheme:
    """A target's rules as data: what is quantized, and how.

    ``weight_axis`` gives the output-channel axis of each weighted operator's constant weight; an operator
    that is absent is not quantized. Their inputs are; so are the inputs of ``joined_ops``, operators
    between two weighted ones that the target computes on integers too, and with ``quantizes_outputs`` the
    outputs of both. ``moving_ops`` are those of ``joined_ops`` whose output has its input's encoding, and
    ``absorbed_ops`` activation functions that the target computes while it rounds: the pair stands behind.
    With ``quantizes_biases`` a bias is int32 in the accumulator's own scale, input's times weight's; with
    ``stores_integers`` weights are integers in the file, else floats with a pair.
    With ``rounds_fused_layers`` the target chooses the points itself, by TensorRT's fusion: rounded is what
    lies between the layers it makes, ``joined_ops`` being those that may run on integers.
    ``ties_pooling``: under most calibrators a pooling output takes its input's range, as TensorRT has it.
    ``min_opset`` is the lowest ONNX opset of a Q/DQ model.
    """

    name: str
    activations: QuantSpec
    weights: QuantSpec
    weight_axis: Mapping[str, int]
    joined_ops: frozenset[str] = frozenset()
    moving_ops: frozenset[str] = frozenset()
    absorbed_ops: frozenset[str] = frozenset()
    ties_pooling: bool = False
    rounds_fused_layers: bool = False
    quantizes_outputs: bool = False
    quantizes_biases: bool = False
    stores_integers: bool = False
    min_opset: int = 13

    @property
    def has_caches(self) -> bool:
        """Whether a scale says all about an activation, so that a TensorRT calibration cache can hold it."""
        return self.activations.symmetric and self.activations.dtype == "int8"


# --- what the rooms hand to each other -------------------------------------------------------------


@dataclass(frozen=True)
class TensorInfo:
    """A graph input or output: ``shape`` holds None where a dimension is dynamic."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class ModelSignature:
    """What a model shows of itself without running: enough for a task to recognise its family.

    ``op_counts`` counts operators by type in the whole graph; ``tail_ops`` lists for each graph output
    the operator types met when walking back from it, nearest first, stopping at convolutions, matrix
    products and graph inputs; ``metadata`` is the ONNX file's metadata_props.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    op_counts: Mapping[str, int]
    tail_ops: Mapping[str, tuple[str, ...]]
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Statistics:
    """The statistics of every probed tensor, from one pass over the calibration samples, in order."""

    model_sha256: str
    sample_ids: tuple[str, ...]
    tensors: Mapping[str, TensorStatistics]


# --- protocols: what can be plugged in -------------------------------------------------------------

Calibrator: TypeAlias = Callable[[TensorStatistics, QuantSpec], Range]
Feeds: TypeAlias = Mapping[str, NDArray[Any]]


class Observer(Protocol):
    """Looks at activations while a model runs."""

    def __call__(self, tensor: str, *parts: NDArray[Any]) -> None:
        """Take one tensor of one run, in arrays that together hold each of its values once.

        A runtime shows values as they lie in its memory: the parts' shapes and order mean nothing.
        """
        ...


@runtime_checkable
class Session(Protocol):
    """A model opened by a runtime. Whoever opens it closes it: use it as a context manager."""

    def run(self, feeds: Feeds) -> Feeds:
        """Run the model once: arrays by graph input name in, arrays by graph output name out.

        The outputs stand in the graph's order: tasks may read them by position.
        """
        ...

    def close(self) -> None:
        """Give back what the session holds."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class ConcurrentSession(Session, Protocol):
    """A session that several threads may run at once; others are run by one at a time."""

    @property
    def concurrency(self) -> int:
        """How many runs may be under way at once."""
        ...


@runtime_checkable
class Runtime(Protocol):
    """Something that runs ONNX models."""

    @property
    def name(self) -> str:
        """The name users give on the command line."""
        ...

    @property
    def version(self) -> str:
        """The version of the vendor's package."""
        ...

    def open(self, model: Path) -> Session:
        """Open an ONNX file. Raises RuntimeFailedError with the vendor's words."""
        ...

    def record(self, model: Path, tensors: Sequence[str], observe: Observer) -> Session:
        """Open a float model so that each run also hands ``tensors`` (activations by name) to ``observe``.

        ``model`` has them among its outputs, and stays where it is until the session is closed. An array is
        only valid during the call: observers copy what they keep. A concurrent session calls ``observe``
        from the thread that runs it. Outputs may be computed only when they are first looked at, from the
        feeds as they are then; collecting mostly looks at none.
        """
        ...


@dataclass(frozen=True)
class Latency:
    """How long an open model takes, milliseconds, over ``runs`` runs.

    From the arrays in host memory to the results there; ``device_*`` is the accelerator's own computing.
    ``build_seconds`` is what it took to build the model for this runtime; None: nothing is built.
    ``build_warnings`` is what the runtime warned of meanwhile, one line a kind. ``spread_ms``: the runs are
    cut into five, one after the other, and these are the lowest and the highest of the five medians (on the
    device, where that is known): differences within it mean nothing.
    """

    median_ms: float
    p99_ms: float
    runs: int
    device_median_ms: float | None = None
    device_p99_ms: float | None = None
    build_seconds: float | None = None
    build_warnings: tuple[str, ...] = ()
    spread_ms: tuple[float, float] | None = None


@runtime_checkable
class TimedSession(Protocol):
    """A session that can say how fast it is."""

    def latency(self, feeds: Feeds) -> Latency:
        """Run the model on ``feeds`` again and again."""
        ...


@dataclass(frozen=True)
class Deployable:
    """A candidate in every form in which a runtime may take it.

    ``qdq`` is a model of its own; ``float_model`` goes with ``cache`` or is calibrated by the runtime
    itself: by ``algorithm`` (and Legacy's ``quantile``) on ``batches``, the calibration samples as the
    model's inputs. ``is_tensorrts_own`` says whether TensorRT knows this calibrator; what it computes
    then goes to the file ``tensorrts_cache``.
    """

    name: str
    float_model: Path
    qdq: Path
    cache: Path
    algorithm: str
    quantile: float
    is_tensorrts_own: bool
    tensorrts_cache: Path
    batches: Callable[[], Iterator[Feeds]]


@runtime_checkable
class RuntimeWithDevice(Protocol):
    """A runtime that computes on a device which results should name."""

    @property
    def device(self) -> str:
        """The device's name, as its driver tells it."""
        ...


@runtime_checkable
class RuntimeWithPrecisions(Protocol):
    """A runtime that may run a float model in other types than FP32, which results show beside INT8."""

    @property
    def precisions(self) -> tuple[str, ...]:
        """Their names, e.g. fp16."""
        ...

    def in_precision(self, precision: str) -> Runtime:
        """The same runtime, where layers in float may use one of these."""
        ...


@runtime_checkable
class QuantizingRuntime(Protocol):
    """A runtime that may quantize a float model itself. Others just open a candidate's Q/DQ model."""

    @property
    def reads_caches(self) -> bool:
        """Whether it takes the float model with a calibration cache, which then must hold all tensors."""
        ...

    @property
    def calibrates_itself(self) -> bool:
        """Whether it chooses the scales by its own calibrator."""
        ...

    def open_candidate(self, candidate: Deployable) -> Session:
        """Open a candidate in the form that this runtime prefers. Raises as Runtime.open."""
        ...


@runtime_checkable
class ConvertingRuntime(Runtime, Protocol):
    """A runtime with a form of its own for models on the disk (an engine, an IR)."""

    def convert(self, candidate: Deployable, stem: Path) -> tuple[Path, ...]:
        """Write a candidate in that form; the first of its files is what :meth:`open_converted` takes.

        stem: the path with which the files' names begin.
        Raises RuntimeFailedError with the vendor's words.
        """
        ...

    def open_converted(self, file: Path) -> Session:
        """Open what :meth:`convert` wrote. Raises as Runtime.open."""
        ...


class Sample(Protocol):
    """One item of a data set; its id is stable between runs and unique in its set."""

    @property
    def id(self) -> str:
        """Stable between runs, unique in its set."""
        ...
