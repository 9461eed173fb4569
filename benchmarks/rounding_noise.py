"""How far a Q/DQ model's score moves when every activation's scale moves by the last bit of a float.

    python benchmarks/rounding_noise.py minmax.qdq.onnx --data data.yaml --copies 3 [--limit 300]

No calibration can tell such models apart, and no two runtimes add in the same order: what they differ by is
the least by which a prediction and a measurement may differ. docs/results-tensorrt.md has it of six models.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import calibrant


def moved(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The model with each scale of a QuantizeLinear on one number moved up or down by one unit."""
    copy, rng = onnx.ModelProto(), np.random.default_rng(seed)
    copy.CopyFrom(model)
    scales = {node.input[1] for node in copy.graph.node if node.op_type == "QuantizeLinear"}
    for tensor in copy.graph.initializer:
        if tensor.name in scales and not tensor.dims:
            way = np.float32(np.inf if rng.random() < 0.5 else 0)
            value = np.nextafter(numpy_helper.to_array(tensor), way)
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(value, np.float32), tensor.name))
    return copy


def main() -> None:
    """Measure the model and its copies, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    model = onnx.load(given.model)
    values = [calibrant.evaluate(given.model, given.data, limit=given.limit).score.value]
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, given.copies + 1):
            path = Path(folder) / f"{seed}.onnx"
            onnx.save(moved(model, seed), path)
            values.append(calibrant.evaluate(path, given.data, limit=given.limit).score.value)
    known = [value for value in values if value is not None]
    told = ", ".join(f"{value:.2f}" for value in known)
    sys.stdout.write(f"{told}: {max(known) - min(known):.2f} apart, mean {np.mean(known):.2f}\n")


if __name__ == "__main__":
    main()
