"""Synthetic labelled lines of text as files: a calibration folder and a label file as PaddleOCR writes it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from calibrant.artifacts.store import write_bytes
from calibrant.demo.line import drawn_line
from calibrant.demo.render import DemoData, require_drawable

SYNTHETIC_LINES = "synthetic lines: words and figures drawn by this program; nothing was printed or scanned"

# The second word of a line's seed; the detector's images have 0 and 1.
_STREAMS = {"calibration": 2, "test": 3}


def render_lines(folder: Path, *, test_lines: int, calibration_lines: int, seed: int) -> DemoData:
    """Draw ``calibration/`` and the labelled ``test/`` into ``folder``; no line is in both.

    The same arguments give the same bytes with the same versions of OpenCV and Pillow on the same kind of
    processor. Raises SettingsError for a count below 1 or a negative seed, and OutputError when a file cannot
    be written.
    """
    require_drawable(test_lines, calibration_lines, seed, "lines")
    data = DemoData(folder / "calibration", folder / "test" / "labels.txt")
    _write(data.calibration, "calibration", calibration_lines, seed)
    labels = _write(data.dataset.parent, "test", test_lines, seed)
    write_bytes(data.dataset, labels.encode())
    return data


def _write(folder: Path, name: str, count: int, seed: int) -> str:
    """Write images; returns their labels."""
    labels = []
    for index in range(count):
        line = drawn_line(np.random.default_rng([seed, _STREAMS[name], index]))
        file_name = f"{name}_{index:04d}.png"
        _, encoded = cv2.imencode(".png", line.image)
        write_bytes(folder / file_name, encoded.tobytes())
        labels.append(f"{file_name}\t{line.text}\n")
    return "".join(labels)
