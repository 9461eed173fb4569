"""Peak memory of a study, by the number of images, with and without a limit.

::

    python benchmarks/memory.py MODEL --calib FOLDER --data LABELS.json --images 512 8192 [--max-memory 1.5G]

The images are hard links to those that are given, as often as it takes, and the labels are repeated with
them; a study of ``minmax`` and ``percentile:99.99`` runs on all, without racing, in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from calibrant.tasks.detection.datasets import open_dataset
from calibrant.tasks.media.files import images_in

CALIBRATORS = "minmax,percentile:99.99"


def main() -> None:
    """Print one row for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--calib", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="COCO JSON")
    parser.add_argument("--images", type=int, nargs="+", default=[512, 8192])
    parser.add_argument("--max-memory")
    given = parser.parse_args()
    print("images  peak RSS, MiB  seconds", flush=True)
    for count in given.images:
        with tempfile.TemporaryDirectory(prefix="memory-", dir=given.data.parent) as name:
            folder = Path(name)
            linked(images_in(given.calib), folder / "calib", count)
            labels = repeated(given.data, folder, count)
            begun = time.monotonic()
            peak = peak_of_study(given.model, folder / "calib", labels, folder, given.max_memory)
        print(f"{count:6d}  {peak / 2**20:13.0f}  {time.monotonic() - begun:7.0f}", flush=True)


def linked(images: tuple[Path, ...], folder: Path, count: int) -> list[str]:
    """``count`` names in ``folder`` for these images, over and over; gives the names."""
    folder.mkdir()
    names = []
    for position, image in zip(range(count), itertools.cycle(images), strict=False):
        names.append(f"{position:06d}{image.suffix}")
        os.link(image, folder / names[-1])
    return names


def repeated(labels: Path, folder: Path, count: int) -> Path:
    """A COCO file of ``count`` images, which are linked into ``folder``."""
    samples = open_dataset(labels).samples
    content = json.loads(labels.read_text(encoding="utf-8"))
    records = {record["file_name"]: record for record in content["images"]}
    boxes: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for box in content["annotations"]:
        boxes[box["image_id"]].append(box)
    names = linked(tuple(sample.path for sample in samples), folder / "images", count)
    images, annotations = [], []
    for position, (name, sample) in enumerate(zip(names, itertools.cycle(samples), strict=False)):
        record = records[sample.id]
        images.append({**record, "id": position, "file_name": name})
        annotations += [{**box, "image_id": position} for box in boxes[record["id"]]]
    for number, box in enumerate(annotations):
        box["id"] = number
    path = folder / "labels.json"
    path.write_text(json.dumps({**content, "images": images, "annotations": annotations}), encoding="utf-8")
    return path


def peak_of_study(model: str, calib: Path, labels: Path, folder: Path, max_memory: str | None) -> int:
    """Bytes that the process of a study had in memory at most."""
    command = [
        sys.executable,
        "-m",
        "calibrant",
        "study",
        model,
        "--calib",
        str(calib),
        "--data",
        str(labels),
    ]
    command += [
        "--out",
        str(folder / "run"),
        "--calibrators",
        CALIBRATORS,
        "--no-race",
        "--diagnose-budget",
        "0",
    ]
    command += ["--max-memory", max_memory] if max_memory else []
    own = {"CALIBRANT_CACHE": str(folder / "cache"), "CALIBRANT_STORE": "off"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    ended = subprocess.run(command, env={**os.environ, **own}, stdout=subprocess.DEVNULL, check=False)
    if ended.returncode:
        sys.exit(f"the study ended with exit code {ended.returncode}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if peak <= before:
        print("  (not above the rows before)")
    return peak * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
