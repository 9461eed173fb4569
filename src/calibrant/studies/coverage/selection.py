"""Which images? The smallest subset of a pool that covers what the pool has to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.store import write_bytes
from calibrant.stages.coverage.selection import greedy_cover, reaches
from calibrant.studies.coverage.contents import BRIGHTNESS, CLASS, SIZE, ImageContent
from calibrant.studies.coverage.growth import Ranges, changes, widths_of
from calibrant.studies.coverage.result import ChosenImage, SelectionCheck
from calibrant.tasks.detection import CalibrationSample

LIST_FILE = "selected.txt"
END_QUANTILE = 0.95
"""A tensor's range is wanted up to this quantile of the images' own extremes: no outlier has to be taken."""
NEARLY = 0.95
"""An image that reaches this share of a wanted end covers it."""
_KINDS = (CLASS, SIZE, BRIGHTNESS)


@dataclass(frozen=True)
class Cover:
    """Positions in the pool with what each adds, in the order of choice, and how much there was to cover."""

    chosen: tuple[tuple[int, tuple[str, ...]], ...]
    wanted: int


def covering(
    tensors: Sequence[str],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    contents: Sequence[ImageContent],
) -> Cover:
    """The smallest subset found. lows, highs: (N, T), what each image reaches; contents: what it shows."""
    if not contents:
        return Cover((), 0)
    features = sorted({key for image in contents for key in image.features}, key=_kind_first)
    names = [*(f"{prefix}{tensor}" for prefix in _ENDS for tensor in tensors), *map(" ".join, features)]
    shows = np.array([[key in image.features for key in features] for image in contents], np.bool_)
    ends = [reaches(values, END_QUANTILE, NEARLY) for values in (highs, -lows)]
    covers = np.concatenate([*ends, shows.reshape(len(lows), -1)], axis=1)
    chosen = greedy_cover(covers)
    return Cover(
        tuple((index, tuple(names[thing] for thing in added)) for index, added in chosen),
        int(covers.any(axis=0).sum()),
    )


def written(
    out: Path, pool: str, samples: Sequence[CalibrationSample], cover: Cover
) -> tuple[ChosenImage, ...]:
    """Write the list file into ``out``, with the reason above each path. Raises OutputError."""
    chosen = tuple(
        ChosenImage(str(path.absolute()), adds)
        for index, adds in cover.chosen
        for path in [samples[index].path]
        if path is not None
    )
    lines = [f"# {len(chosen)} of {len(samples)} images of {_one_line(pool)}, by calibrant coverage"]
    for image in chosen:
        lines += [f"# {_one_line(reason_of(image))}", image.path]
    write_bytes(out / LIST_FILE, ("\n".join(lines) + "\n").encode())
    return chosen


def reason_of(image: ChosenImage) -> str:
    """Why an image was chosen, in one line: e.g. "adds 12 range ends; class bus, dog; size small"."""
    ends = sum(name.startswith(_ENDS) for name in image.adds)
    words = [f"{ends} range end{'s' if ends > 1 else ''}"] if ends else []
    for kind in _KINDS:
        of_kind = [name.removeprefix(f"{kind} ") for name in image.adds if name.startswith(f"{kind} ")]
        words += [f"{kind} {', '.join(of_kind)}"] if of_kind else []
    return f"adds {'; '.join(words)}"


def check_of(calibrator: str, selected: Ranges, pool: Ranges) -> SelectionCheck:
    """How far the selection's ranges lie from the whole pool's."""
    moved = changes(widths_of(selected), widths_of(pool))
    return SelectionCheck(calibrator, float(np.median(moved)), float(np.quantile(moved, 0.95)))


_ENDS = ("high end of ", "low end of ")


def _kind_first(key: tuple[str, str]) -> tuple[int, str]:
    return _KINDS.index(key[0]), key[1]


def _one_line(text: str) -> str:
    return " ".join(text.split())
