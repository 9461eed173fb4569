"""Which samples? The smallest subset of a pool that covers what the pool has to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.store import write_bytes
from calibrant.core.tasks import Look
from calibrant.stages.coverage.selection import greedy_cover, reaches
from calibrant.studies.coverage.contents import path_of
from calibrant.studies.coverage.growth import Ranges, changes, widths_of
from calibrant.studies.coverage.result import ChosenSample, SelectionCheck

LIST_FILE = "selected.txt"
END_QUANTILE = 0.95
"""A tensor's range is wanted up to this quantile of the samples' own extremes: no outlier has to be taken."""
NEARLY = 0.95
"""An sample that reaches this share of a wanted end covers it."""


@dataclass(frozen=True)
class Cover:
    """Positions in the pool with what each adds, in the order of choice, and how much there was to cover."""

    chosen: tuple[tuple[int, tuple[str, ...]], ...]
    wanted: int


def covering(
    tensors: Sequence[str],
    lows: NDArray[np.float32],
    highs: NDArray[np.float32],
    contents: Sequence[Look],
) -> Cover:
    """The smallest subset found. lows, highs: (N, T), what each sample reaches; contents: what it shows."""
    if not contents:
        return Cover((), 0)
    features = sorted({key for sample in contents for key in sample.features})
    names = [*(f"{prefix}{tensor}" for prefix in _ENDS for tensor in tensors), *map(" ".join, features)]
    shows = np.array([[key in sample.features for key in features] for sample in contents], np.bool_)
    ends = [reaches(values, END_QUANTILE, NEARLY) for values in (highs, -lows)]
    covers = np.concatenate([*ends, shows.reshape(len(lows), -1)], axis=1)
    chosen = greedy_cover(covers)
    return Cover(
        tuple((index, tuple(names[thing] for thing in added)) for index, added in chosen),
        int(covers.any(axis=0).sum()),
    )


def written(out: Path, pool: str, samples: Sequence[Any], cover: Cover) -> tuple[ChosenSample, ...]:
    """Write the list file into ``out``, with the reason above each path. Raises OutputError."""
    chosen = tuple(
        ChosenSample(str(path.absolute()), adds)
        for index, adds in cover.chosen
        for path in [path_of(samples[index])]
        if path is not None
    )
    lines = [f"# {len(chosen)} of {len(samples)} of {_one_line(pool)}, by calibrant coverage"]
    for sample in chosen:
        lines += [f"# {_one_line(reason_of(sample))}", sample.path]
    write_bytes(out / LIST_FILE, ("\n".join(lines) + "\n").encode())
    return chosen


def reason_of(sample: ChosenSample) -> str:
    """Why an sample was chosen, in one line: e.g. "adds 12 range ends; class bus, dog; size small"."""
    ends = sum(name.startswith(_ENDS) for name in sample.adds)
    words = [f"{ends} range end{'s' if ends > 1 else ''}"] if ends else []
    features = [name.split(" ", 1) for name in sample.adds if not name.startswith(_ENDS)]
    words += [
        f"{kind} {', '.join(name for own, name in features if own == kind)}"
        for kind in dict.fromkeys(kind for kind, _ in features)
    ]
    return f"adds {'; '.join(words)}"


def check_of(calibrator: str, selected: Ranges, pool: Ranges) -> SelectionCheck:
    """How far the selection's ranges lie from the whole pool's."""
    moved = changes(widths_of(selected), widths_of(pool))
    return SelectionCheck(calibrator, float(np.median(moved)), float(np.quantile(moved, 0.95)))


_ENDS = ("high end of ", "low end of ")


def _one_line(text: str) -> str:
    return " ".join(text.split())
