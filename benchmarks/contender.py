"""One tool quantizes one model, alone in its process, and prints what that took as JSON.

    python benchmarks/contender.py ort-minmax model.onnx INPUTS out.onnx --images 128

INPUTS holds the model's input as 0.npy, 1.npy and so on; more images than there are go round them. T, plain
FP32 inference over the same inputs, is measured first. Only the tool's own packages are imported.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort


class Work:
    """A model with its inputs, read one by one so that memory is the tool's own."""

    def __init__(self, model: Path, inputs: Path, images: int) -> None:
        self.model, self._files = model, sorted(inputs.glob("*.npy"), key=lambda path: int(path.stem))
        self.images = images
        graph = onnx.load(model).graph
        self.input = graph.input[0].name
        # What scheme tensorrt quantizes: convolutions with constant weights.
        constants = {tensor.name for tensor in graph.initializer}
        self.convolutions = [
            node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in constants
        ]
        self.other_types = sorted({node.op_type for node in graph.node} - {"Conv"})

    def at(self, number: int) -> dict[str, np.ndarray]:
        return {self.input: np.load(self._files[number % len(self._files)])}

    def feeds(self) -> Iterator[dict[str, np.ndarray]]:
        return map(self.at, range(self.images))


def plain(work: Work) -> tuple[float, float]:
    """T: wall and CPU seconds of inference alone, ONNX Runtime's default session."""
    session = ort.InferenceSession(str(work.model), providers=["CPUExecutionProvider"])
    session.run(None, next(work.feeds()))
    wall = cpu = 0.0
    for feeds in work.feeds():
        started = now()
        session.run(None, feeds)
        ended = now()
        wall, cpu = wall + ended[0] - started[0], cpu + ended[1] - started[1]
    return wall, cpu


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def onnxruntime(method: str) -> Callable[[Work, Path], None]:
    def quantize(work: Work, out: Path) -> None:
        from onnxruntime.quantization import (
            CalibrationDataReader,
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self) -> None:
                self._feeds = work.feeds()

            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(self._feeds, None)

        quantize_static(
            str(work.model), str(out), Reader(),
            quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod[method],
            op_types_to_quantize=["Conv"], nodes_to_quantize=work.convolutions,
            extra_options={
                "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False,
                "OpTypesToExcludeOutputQuantization": ["Conv"],
            },
        )  # fmt: skip

    return quantize


def nncf(work: Work, out: Path) -> None:
    import nncf

    quantized = nncf.quantize(
        onnx.version_converter.convert_version(onnx.load(work.model), 13),
        nncf.Dataset(range(work.images), work.at),
        subset_size=work.images,
        preset=nncf.QuantizationPreset.PERFORMANCE,
        ignored_scope=nncf.IgnoredScope(types=work.other_types, validate=False),
    )
    onnx.save(quantized, out)


def onnxsim(work: Work, out: Path) -> None:
    import onnxsim

    # Its default places pairs at convolutions too, in uint8; other options are for whole graphs only.
    picked = onnxsim.pick_calibration(onnx.load(work.model), Batches(work))
    onnx.save(picked.model, out)


@dataclass(frozen=True)
class Batches(Sequence[dict[str, np.ndarray]]):
    """Inputs that are read when they are asked for."""

    work: Work

    def __len__(self) -> int:
        return self.work.images

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self.work.images:
            raise IndexError(number)
        return self.work.at(number)


def calibrant(work: Work, out: Path) -> None:
    """All calibrators at once; ``out`` becomes a folder with a model of each."""
    from calibrant.calibrators import DEFAULT_CALIBRATORS, calibrators_named
    from calibrant.runtimes.ort import OnnxRuntime
    from calibrant.studies.candidates import write_candidates

    out.mkdir()
    plan, statistics = _collected(work, OnnxRuntime())
    write_candidates(plan, statistics, calibrators_named(",".join(DEFAULT_CALIBRATORS)), out)


def calibrant_statistics(work: Work, out: Path) -> None:
    """Only what all calibrators need."""
    from calibrant.artifacts.statistics import write_statistics
    from calibrant.runtimes.ort import OnnxRuntime

    write_statistics(out, _collected(work, OnnxRuntime())[1])


def _collected(work: Work, runtime: Any) -> tuple[Any, Any]:
    from calibrant.core.schemes import scheme_named
    from calibrant.models.onnx.model import load_model
    from calibrant.models.onnx.points import pooling_ties, quant_points
    from calibrant.stages.collect import collect
    from calibrant.studies.candidates import QuantPlan

    model, scheme = load_model(work.model), scheme_named("tensorrt")
    plan = QuantPlan(model, scheme, quant_points(model, scheme), pooling_ties(model))
    samples = [Numbered(str(number), number) for number in range(work.images)]
    return plan, collect(model, plan.tensors, Feeding(work), runtime, samples)


@dataclass(frozen=True)
class Numbered:
    id: str
    number: int


@dataclass(frozen=True)
class Feeding:
    """A task that is fed with inputs as they are."""

    work: Work
    name: str = "inputs"

    def drive(self, session: Any, sample: Numbered) -> Any:
        return session.run(self.work.at(sample.number))

    def interpret(self, raw: Any, sample: Numbered) -> Any:
        raise NotImplementedError

    def score(self, samples: Any, predictions: Any) -> Any:
        raise NotImplementedError


def nothing(work: Work, out: Path) -> None:
    """The float model alone, for its memory."""


@dataclass(frozen=True)
class Tool:
    quantize: Callable[[Work, Path], None]
    package: str


TOOLS = {
    "fp32": Tool(nothing, "onnxruntime"),
    "calibrant": Tool(calibrant, "calibrant"),
    "calibrant-statistics": Tool(calibrant_statistics, "calibrant"),
    "ort-minmax": Tool(onnxruntime("MinMax"), "onnxruntime"),
    "ort-entropy": Tool(onnxruntime("Entropy"), "onnxruntime"),
    "ort-percentile": Tool(onnxruntime("Percentile"), "onnxruntime"),
    "onnxsim": Tool(onnxsim, "onnxsim"),
    "nncf": Tool(nncf, "nncf"),
}


def peak_mib() -> float:
    """On Linux getrusage also knows the process that started this one; /proc does not."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("model", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=128)
    given = parser.parse_args()
    work, tool = Work(given.model, given.inputs, given.images), TOOLS[given.tool]
    floats = [plain(work)]
    started = now()
    tool.quantize(work, given.out)
    ended = now()
    floats.append(plain(work))
    print(json.dumps({
        "tool": given.tool, "package": tool.package, "version": version(tool.package),
        "onnxruntime": ort.__version__, "images": given.images,
        "seconds": ended[0] - started[0], "cpu": ended[1] - started[1],
        "t": min(wall for wall, _ in floats), "t_cpu": min(cpu for _, cpu in floats),
        "peak_mib": peak_mib(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
