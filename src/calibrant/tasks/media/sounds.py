"""Reading sound files: one channel of float samples, at the rate that a model wants."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import DataError, SettingsError
from calibrant.core.reading import read_bytes
from calibrant.core.types import FloatArray

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg"})

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_LARGEST = 2**31
_ZERO_CROSSINGS = 32  # on each side of the filter that resamples
_ROLL_OFF = 0.945  # of the lower rate's half, where the filter ceases to pass
_BETA = 14.77  # of the Kaiser window, as librosa's "kaiser_best" has it


@dataclass(frozen=True, eq=False)
class Sound:
    """One channel: float32 samples, -1 to 1, and how many of them are a second."""

    values: FloatArray
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.values) / self.rate


def read_sound(path: Path, rate: int | None = None) -> Sound:
    """Read a file; several channels become their mean. rate: that it is brought to; None: its own.

    ``.wav`` is read as it is, other forms by the package soundfile. Raises DataError with the reason.
    """
    try:
        content = read_bytes(path, _LARGEST)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"'{path}' cannot be read ({reason}); check its name and permissions") from error
    sound = _wav(content, path) if content[:4] == b"RIFF" else _by_soundfile(content, path)
    if not len(sound.values):
        raise DataError(f"'{path}' holds no sound; leave it out")
    if not np.isfinite(sound.values).all():
        raise DataError(f"'{path}' holds samples that are no numbers; record or convert it again")
    return sound if rate in (None, sound.rate) else Sound(resampled(sound, rate or 0), rate or 0)


def resampled(sound: Sound, rate: int) -> FloatArray:
    """The samples at another rate, by a windowed sinc (J. O. Smith, Digital Audio Resampling)."""
    step = math.gcd(sound.rate, rate)
    up, down = rate // step, sound.rate // step
    table = _filters(up, down)
    taps = table.shape[1]
    positions = np.arange(-(-len(sound.values) * up // down), dtype=np.int64) * down
    padded = np.pad(sound.values.astype(np.float64), (taps // 2 - 1, taps))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    found = np.empty(len(positions), np.float32)
    for phase in range(up):
        chosen = np.flatnonzero(positions % up == phase)
        found[chosen] = windows[positions[chosen] // up] @ table[phase]
    return found


@lru_cache(8)
def _filters(up: int, down: int) -> NDArray[np.float64]:
    """For each of ``up`` phases the weights of the samples around it."""
    cutoff = min(1.0, up / down) * _ROLL_OFF
    half = math.ceil(_ZERO_CROSSINGS / cutoff)
    offsets = np.arange(-half + 1, half + 1)[None] - np.arange(up)[:, None] / up
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (offsets / half) ** 2, 0, None))) / np.i0(_BETA)
    return np.asarray(cutoff * np.sinc(cutoff * offsets) * window)


def _wav(content: bytes, path: Path) -> Sound:
    """RIFF WAVE: integers of 8 to 32 bits and floats (Microsoft, Multimedia Programming Interface 1.0)."""
    shape, data, at = None, None, 12
    try:
        while at + 8 <= len(content) and data is None:
            name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
            body = content[at + 8 : at + 8 + size]  # a stream's size may be more than there is
            if name == b"fmt ":
                shape = struct.unpack_from("<HHIIHH", body)
                if shape[0] == _EXTENSIBLE:
                    shape = (struct.unpack_from("<H", body, 24)[0], *shape[1:])
            elif name == b"data":
                data = body
            at += 8 + size + size % 2
        if shape is None or data is None:
            raise ValueError("it has no format or no data")
        kind, channels, rate, _, _, bits = shape
        return Sound(_mono(_decoded(data, kind, bits), channels), _sane(rate))
    except (ValueError, struct.error) as error:
        raise DataError(
            f"'{path}' is no WAV file that can be read: {error}; convert it to 16-bit PCM"
        ) from error


def _decoded(data: bytes, kind: int, bits: int) -> FloatArray:
    data = data[: len(data) // (bits // 8 or 1) * (bits // 8)]
    if kind == _FLOAT and bits in (32, 64):
        return np.asarray(np.frombuffer(data, f"<f{bits // 8}"), np.float32)
    if kind == _PCM and bits == 8:
        return np.asarray((np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128, np.float32)
    if kind == _PCM and bits in (16, 32):
        whole: NDArray[Any] = np.frombuffer(data, f"<i{bits // 8}")
        return np.asarray(whole / 2 ** (bits - 1), np.float32)
    if kind == _PCM and bits == 24:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (padded.view("<i4").reshape(-1) / 2**31).astype(np.float32)
    raise ValueError(f"format {kind} with {bits} bits is not known")


def _by_soundfile(content: bytes, path: Path) -> Sound:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"'{path}' is no WAV file, and other sounds need soundfile; pip install 'calibrant[speech]'"
        ) from error
    try:
        values, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        return Sound(np.ascontiguousarray(values.mean(axis=1, dtype=np.float32)), _sane(int(rate)))
    except (RuntimeError, ValueError, TypeError) as error:
        words = " ".join(str(error).split())[:200]
        raise DataError(f"'{path}' is no sound that can be read: {words}; convert it to WAV") from error


def _sane(rate: int) -> int:
    if not 1000 <= rate <= 768_000:
        raise ValueError(f"a rate of {rate} samples a second")
    return rate


def _mono(values: FloatArray, channels: int) -> FloatArray:
    if channels < 1:
        raise ValueError("it has no channel")
    whole = values[: len(values) // channels * channels].reshape(-1, channels)
    return np.ascontiguousarray(whole.mean(axis=1, dtype=np.float32) if channels > 1 else whole[:, 0])
