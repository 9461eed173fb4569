"""NNCF's quantize_with_accuracy_control on the split that calibrant optimize uses, in a process of its own.

pip install calibrant nncf
python benchmarks/optimize_nncf.py MODEL --calib DIR --data DATASET --max-loss 1.0 --minutes 10

It calibrates on the same images, validates on the images that optimize selects on, and is measured on those
that optimize reports on. Prints JSON. NNCF has no result until it is done: when --minutes are over before,
the quantized model that was best on the select images until then is measured, and "finished" is false.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import nncf
import onnx

from calibrant.calibrators import DEFAULT_CALIBRATORS
from calibrant.core.progress import Silent
from calibrant.models.onnx.cost import costs
from calibrant.models.onnx.model import load_model, save_model
from calibrant.models.onnx.movement import JOINING_OPS, MOVING_OPS
from calibrant.models.onnx.onnx_passes import with_opset
from calibrant.stages.evaluate import evaluate
from calibrant.stages.sessions import model_inputs
from calibrant.studies.optimization.measure import split_in_two
from calibrant.studies.request import StudyRequest, open_study

# NNCF ranks layers by their outputs on so many of the select images. By default it takes as many as it
# calibrates with, which takes longer than the whole search may.
RANKING_IMAGES = 24

MOVING = MOVING_OPS | JOINING_OPS | {"MaxPool"}


class OutOfTimeError(BaseException):
    """Whatever catches exceptions below must not catch it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--max-loss", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, default=10)
    given = parser.parse_args()
    request = StudyRequest(given.model, given.calib, given.data, DEFAULT_CALIBRATORS)
    study = open_study(request, Silent())
    halves = [[study.test[i] for i in half] for half in split_in_two(len(study.test), 0)]
    found: dict[str, Any] = {
        "model": Path(given.model).stem,
        "nncf": nncf.__version__,
        "minutes": given.minutes,
    }
    begun = time.perf_counter()
    seen: list[tuple[float, onnx.ModelProto]] = []
    model: onnx.ModelProto | None
    try:
        with tempfile.TemporaryDirectory() as folder, alarm(given.minutes):
            model = searched(study, halves[0], given.max_loss, Path(folder), seen)
        found["finished"] = True
    except OutOfTimeError:
        found["finished"] = False
        model = max(seen, key=lambda one: one[0])[1] if seen else None
    found["seconds"] = round(time.perf_counter() - begun, 1)
    found |= measured(study, model, halves[1]) if model is not None else {"result": "none in this time"}
    print(json.dumps(found))


class alarm:  # noqa: N801
    """Raises OutOfTimeError in the main thread after so many minutes."""

    def __init__(self, minutes: float) -> None:
        self._seconds = minutes * 60

    def __enter__(self) -> None:
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, *_: object) -> None:
        raise OutOfTimeError


def searched(
    study: Any, select: list[Any], max_drop: float, folder: Path, seen: list[tuple[float, onnx.ModelProto]]
) -> onnx.ModelProto:
    """What NNCF makes of the model when it may lose ``max_drop`` points on ``select``.

    seen: takes the quantized models that NNCF validates, with their mAP.
    """
    feeds = list(model_inputs(study.float_model, study.task, study.collector, study.calibration))

    def validate(model: Any, samples: Any) -> tuple[float, list[float]]:
        """mAP of all images and of each, by which NNCF picks those that it ranks layers on.

        It ranks by raw outputs too, but not with models of ONNX.
        """
        path = folder / "candidate.onnx"
        proto = getattr(model, "model", model)
        onnx.save(proto, path)
        images = list(samples)
        with study.runtime.open(path) as session:
            raw = [study.task.drive(session, image) for image in images]
        found = [study.task.interpret(one, image) for one, image in zip(raw, images, strict=True)]
        value = points(study, images, found)
        if len(images) == len(select) and any(node.op_type == "QuantizeLinear" for node in proto.graph.node):
            seen.append((value, copy.deepcopy(proto)))
        return value, [points(study, [image], [one]) for image, one in zip(images, found, strict=True)]

    # Per-channel weights need opset 13, here as in Calibrant's own Q/DQ models.
    save_model(with_opset(study.plan.model.ir, study.plan.scheme.min_opset), folder / "float.onnx")
    result: onnx.ModelProto = nncf.quantize_with_accuracy_control(
        onnx.load(folder / "float.onnx"),
        nncf.Dataset([dict(one) for one in feeds]),
        nncf.Dataset(select),
        validate,
        max_drop=max_drop / 100,
        drop_type=nncf.DropType.ABSOLUTE,
        subset_size=len(feeds),
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
            ranking_subset_size=RANKING_IMAGES
        ),
    )
    return result


def points(study: Any, samples: list[Any], found: list[Any]) -> float:
    """mAP; 0 for images without a labelled box, of which there is none."""
    value = float(study.task.score(samples, found).value)
    return value if math.isfinite(value) else 0.0


def score(study: Any, model: Any, samples: list[Any], folder: Path) -> float:
    path = folder / "candidate.onnx"
    onnx.save(getattr(model, "model", model), path)
    return evaluate(lambda: study.runtime.open(path), study.task, samples).score.value


def measured(study: Any, model: onnx.ModelProto, report: list[Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        full = evaluate(lambda: study.runtime.open(study.float_model), study.task, report).score.value
        reached = score(study, model, report, Path(folder))
    return {
        "fp32": round(100 * full, 2),
        "map50_95": round(100 * reached, 2),
        "lost": round(100 * (full - reached), 2),
        "int8_share": round(int8_share(study, model), 4),
        "per_channel_activations": per_channel_activations(model),
    }


def int8_share(study: Any, model: onnx.ModelProto) -> float:
    """The share of multiply-accumulates whose weight and activation are both dequantized integers.

    NNCF does not round again what only moved: Concat, Resize, pooling and the like hand integers on.
    """
    made = {name: node for node in model.graph.node for name in node.output}

    def is_dequantized(name: str) -> bool:
        node = made.get(name)
        if node is None or node.op_type == "DequantizeLinear":
            return node is not None
        moved = node.input if node.op_type in JOINING_OPS else node.input[:1]
        return node.op_type in MOVING and all(is_dequantized(source) for source in moved)

    quantized = {
        node.name
        for node in model.graph.node
        if len(node.input) > 1 and all(is_dequantized(name) for name in node.input[:2])
    }
    macs = {cost.node: cost.macs or 0 for cost in costs(load_model(study.float_model))}
    return sum(count for node, count in macs.items() if node in quantized) / sum(macs.values())


def per_channel_activations(model: onnx.ModelProto) -> int:
    """How many activations have a scale for each channel, which TensorRT does not take."""
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    scales = [
        sizes.get(node.input[1], [])
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in sizes
    ]
    return sum(len(scale) == 1 and scale[0] > 1 for scale in scales)


if __name__ == "__main__":
    main()
