"""What listeners would say of a sound (DNSMOS P.835), and how far two sounds are apart."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import SettingsError
from calibrant.core.types import FloatArray, Session
from calibrant.tasks.media.spectra import log_mel

RATE = 16_000
_LENGTH = int(9.01 * RATE)
# microsoft/DNS-Challenge, DNSMOS/dnsmos_local.py: what the network gives, as listeners' marks.
_OVERALL = (-0.06766283, 1.11546468, 0.04602535)
_SIGNAL = (-0.08397278, 1.22083953, 0.0052439)
_BACKGROUND = (-0.13166888, 1.60915514, -0.39604546)
_BAND = 0.2  # of a sound's length, how far the best path may leave the diagonal


def judge_file() -> Path:
    """The network of the package speechmos, which is not imported. Raises SettingsError without it."""
    found = find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        raise SettingsError("speech synthesis is judged by speechmos; pip install 'calibrant[speech]'")
    return Path(next(iter(found.submodule_search_locations))) / "dnsmos_models" / "sig_bak_ovr.onnx"


def opinions(judge: Session, sound: FloatArray) -> tuple[float, float, float]:
    """Overall, signal and background of a sound at 16 kHz: the mean over windows of 9 s each second.

    A shorter sound is repeated until it fills one.
    """
    repeated = np.tile(sound, -(-_LENGTH // max(len(sound), 1))) if len(sound) < _LENGTH else sound
    hops = max(int(len(repeated) // RATE - 9.01) + 1, 1)
    raw = []
    for hop in range(hops):
        window = repeated[hop * RATE : hop * RATE + _LENGTH]
        if len(window) == _LENGTH:
            raw.append(next(iter(judge.run({"input_1": window[None].astype(np.float32)}).values()))[0])
    signal, background, overall = (np.array(raw, np.float64)[:, at] for at in range(3))
    return (
        float(np.polyval(_OVERALL, overall).mean()),
        float(np.polyval(_SIGNAL, signal).mean()),
        float(np.polyval(_BACKGROUND, background).mean()),
    )


def mel_distance(one: FloatArray, two: FloatArray, rate: int) -> float:
    """The mean difference of mel logarithms along the best path in time (dynamic time warping), nepers.

    One model speaks faster than another, so that frames of the same time are of other sounds.
    """
    first, second = log_mel(one, rate), log_mel(two, rate)
    costs = np.abs(first[:, None] - second[None]).mean(axis=2)
    return warped(costs)


def warped(costs: NDArray[np.float64]) -> float:
    """The least mean cost from the first corner to the last, each step on one or both axes.

    Source: Sakoe and Chiba 1978, without slopes; the path stays within a fifth of the length of the diagonal.
    """
    rows, columns = costs.shape
    far = max(int(_BAND * max(rows, columns)), abs(rows - columns) + 1)
    sums = np.full((rows + 1, columns + 1), np.inf)
    steps = np.zeros((rows + 1, columns + 1))
    sums[0, 0] = 0.0
    for diagonal in range(2, rows + columns + 1):  # all cells of one depend on the two before alone
        row = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        column = diagonal - row
        near = np.abs(row * columns - column * rows) <= far * max(rows, columns)
        row, column = row[near], column[near]
        before = np.stack([sums[row - 1, column - 1], sums[row - 1, column], sums[row, column - 1]])
        counted = np.stack([steps[row - 1, column - 1], steps[row - 1, column], steps[row, column - 1]])
        best = before.argmin(axis=0)
        at = np.arange(len(row))
        sums[row, column] = before[best, at] + costs[row - 1, column - 1]
        steps[row, column] = counted[best, at] + 1
    return float(sums[-1, -1] / steps[-1, -1])
