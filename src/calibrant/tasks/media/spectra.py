"""What speech models are fed with: mel spectra, as the reference extractors compute them.

Each is a pure function of float samples; tests hold them against the originals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import FloatArray

Spectrum = NDArray[np.float64]


def whisper_mel(values: FloatArray, bins: int = 80, samples: int = 480_000) -> FloatArray:
    """Whisper's input (1, bins, samples / 160) for a sound at 16 kHz: 25 ms windows each 10 ms.

    Silence is put behind, or the rest cut off, so that there are ``samples`` (30 s).
    Source: openai/whisper, audio.py, ``log_mel_spectrogram``.
    """
    padded = np.zeros(samples, np.float32)
    padded[: min(len(values), samples)] = values[:samples]
    power = _power(np.pad(padded, 200, mode="reflect"), np.hanning(401)[:-1], 160, 400)[:-1]
    mel = np.maximum(power @ slaney_filters(16_000, 400, bins, 0.0, 8000.0).T, 1e-10)
    logs = np.log10(mel)
    logs = np.maximum(logs, logs.max() - 8.0)
    return np.ascontiguousarray(((logs + 4.0) / 4.0).T[None].astype(np.float32))


@dataclass(frozen=True)
class Fbank:
    """Kaldi's filter banks. ``high`` at or below 0 counts from half of the rate.

    ``snips``: only whole windows, else as many as there are shifts in the sound, mirrored at its ends.
    Source: kaldi, feat/feature-fbank.cc, feature-window.cc and mel-computations.cc; dither 0.
    """

    bins: int = 80
    low: float = 20.0
    high: float = -400.0
    window: str = "povey"
    snips: bool = False

    def __call__(self, values: FloatArray, rate: int = 16_000) -> FloatArray:
        """The logarithm of each bin of each window, (windows, bins); none of a sound that is too short."""
        length, shift = rate * 25 // 1000, rate * 10 // 1000
        frames = _kaldi_frames(values.astype(np.float64), length, shift, snips=self.snips)
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = (frames - 0.97 * before) * _kaldi_window(self.window, length)
        size = 1 << (length - 1).bit_length()
        power = np.abs(np.fft.rfft(frames, size)) ** 2
        high = self.high if self.high > 0 else rate / 2 + self.high
        mel = power[:, : size // 2] @ kaldi_filters(rate, size, self.bins, self.low, high).T
        return np.asarray(np.log(np.maximum(mel, np.finfo(np.float32).eps)).astype(np.float32))


def nemo_mel(values: FloatArray, bins: int = 80) -> FloatArray:
    """NeMo's input (1, bins, windows) at 16 kHz: each bin's logarithm with mean 0 and deviation 1.

    Source: NVIDIA/NeMo, parts/preprocessing/features.py, ``FilterbankFeatures`` with dither 0.
    """
    emphasized = np.concatenate([values[:1], values[1:] - np.float32(0.97) * values[:-1]]).astype(np.float64)
    power = _power(np.pad(emphasized, 256), np.pad(np.hanning(400), 56), 160, 512)
    logs = np.log(power @ slaney_filters(16_000, 512, bins, 0.0, 8000.0).T + 2.0**-24)
    valid = logs[: max(len(values) // 160, 2)]
    scaled = (valid - valid.mean(axis=0)) / (valid.std(axis=0, ddof=1) + 1e-5)
    return np.ascontiguousarray(scaled.T[None].astype(np.float32))


def log_mel(values: FloatArray, rate: int, bins: int = 80) -> Spectrum:
    """The logarithm of mel bins up to half the rate, windows of 1024 samples each 256: to compare sounds."""
    padded = np.pad(values.astype(np.float64), 512)
    power = _power(padded, np.hanning(1025)[:-1], 256, 1024)
    filters = slaney_filters(rate, 1024, bins, 0.0, rate / 2)
    return np.asarray(np.log(np.maximum(power @ filters.T, 1e-5)))


def _power(values: NDArray[Any], window: Spectrum, shift: int, size: int) -> Spectrum:
    """The power of each window, (windows, size // 2 + 1)."""
    frames = np.lib.stride_tricks.sliding_window_view(values, len(window))[::shift]
    return np.asarray(np.abs(np.fft.rfft(frames * window, size)) ** 2)


@lru_cache(16)
def slaney_filters(rate: int, size: int, bins: int, low: float, high: float) -> Spectrum:
    """Triangles of equal area on Slaney's mel scale, (bins, size // 2 + 1): librosa's ``filters.mel``."""
    points = _slaney_hz(np.linspace(_slaney_mel(low), _slaney_mel(high), bins + 2))
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    rising = (frequencies - points[:-2, None]) / np.diff(points)[:-1, None]
    falling = (points[2:, None] - frequencies) / np.diff(points)[1:, None]
    area = 2.0 / (points[2:] - points[:-2])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * area[:, None])


@lru_cache(16)
def kaldi_filters(rate: int, size: int, bins: int, low: float, high: float) -> Spectrum:
    """Triangles of height 1 on the scale 1127 ln(1 + f / 700), (bins, size // 2)."""
    ends = 1127.0 * np.log1p(np.array([low, high]) / 700.0)
    mels = 1127.0 * np.log1p(np.arange(size // 2) * (rate / size) / 700.0)
    step = (ends[1] - ends[0]) / (bins + 1)
    left = ends[0] + np.arange(bins)[:, None] * step
    return np.asarray(np.maximum(0, np.minimum((mels - left) / step, (left + 2 * step - mels) / step)))


def _slaney_mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + float(np.log(hertz / 1000)) * 27 / float(np.log(6.4))


def _slaney_hz(mels: Spectrum) -> Spectrum:
    return np.asarray(np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mels - 15))))


def _kaldi_frames(values: Spectrum, length: int, shift: int, *, snips: bool) -> Spectrum:
    if not len(values) or (snips and len(values) < length):
        return np.zeros((0, length))
    if snips:
        return np.asarray(np.lib.stride_tricks.sliding_window_view(values, length)[::shift])
    count = (len(values) + shift // 2) // shift
    begins = np.arange(count)[:, None] * shift + shift // 2 - length // 2
    period = 2 * len(values)
    at = (begins + np.arange(length)) % period
    return np.asarray(values[np.where(at < len(values), at, period - 1 - at)])


def _kaldi_window(name: str, length: int) -> Spectrum:
    return np.asarray(np.hamming(length) if name == "hamming" else np.hanning(length) ** 0.85)
