"""Decoding, NMS and COCO's score, CPU time an image, from raw outputs that are ready in memory.

python benchmarks/decode.py nanodet_m_416.onnx yolov5n_640.onnx --data instances_val2017_300.json --images 40
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from calibrant.runtimes.ort import OnnxRuntime
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import detection_task, open_detector, open_test_set, runnable_file


def milliseconds(model: Path, data: Path, images: int, rounds: int) -> tuple[float, float]:
    """An image's boxes (median image, least round), and its share of the score (least round)."""
    detector = open_detector(model)
    test = open_test_set(detector, data, images, skip_bad=False)
    task = detection_task(detector, StudySettings(), test)
    with runnable_file(detector.model) as file, OnnxRuntime().open(file) as session:
        raw = [task.drive(session, sample) for sample in test.samples]
    boxes, scores = [], []
    for _ in range(rounds + 1):
        each, found = [], []
        for outputs, sample in zip(raw, test.samples, strict=True):
            started = time.thread_time()
            found.append(task.interpret(outputs, sample))
            each.append(time.thread_time() - started)
        boxes.append(statistics.median(each))
        started = time.thread_time()
        task.score(test.samples, found)
        scores.append((time.thread_time() - started) / len(raw))
    return 1000 * min(boxes[1:]), 1000 * min(scores[1:])  # the first round loads the kernels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    for model in given.models:
        boxes, score = milliseconds(model, given.data, given.images, given.rounds)
        print(f"{model.stem:28} boxes {boxes:5.2f} ms, score {score:5.2f} ms an image", flush=True)


if __name__ == "__main__":
    main()
