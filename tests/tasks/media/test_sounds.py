"""Sound files: every common form gives the same samples, and what is none is said to be none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from calibrant.core.errors import DataError
from calibrant.tasks.media.sounds import Sound, read_sound, resampled

TONE = (np.sin(np.arange(800) * 0.1) * 0.5).astype(np.float32)


def wav(path: Path, data: bytes, kind: int, bits: int, channels: int = 1, rate: int = 8000) -> Path:
    shape = struct.pack(
        "<HHIIHH", kind, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits
    )
    content = b"WAVE" + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    content += b"fmt " + struct.pack("<I", 16) + shape + b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(content)) + content)
    return path


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_integers_of_any_width(bits: int, tmp_path: Path) -> None:
    if bits == 8:
        data = (TONE * 127 + 128).astype(np.uint8).tobytes()
    elif bits == 24:
        data = (TONE * (2**23 - 1)).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = (TONE.astype(np.float64) * (2 ** (bits - 1) - 1)).astype(f"<i{bits // 8}").tobytes()
    found = read_sound(wav(tmp_path / "a.wav", data, 1, bits))
    assert found.rate == 8000
    assert np.abs(found.values - TONE).max() < max(2.0 ** (2 - bits), 1e-7)


def test_floats_and_two_channels(tmp_path: Path) -> None:
    both = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    found = read_sound(wav(tmp_path / "a.wav", both.astype("<f4").tobytes(), 3, 32, channels=2))
    assert np.allclose(found.values, TONE / 2)


def test_flac_is_read_by_soundfile(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.flac", TONE, 8000)
    found = read_sound(tmp_path / "a.flac")
    assert (found.rate, np.abs(found.values - TONE).max() < 1e-3) == (8000, True)


@pytest.mark.parametrize(
    ("rate", "to"), [(22_050, 16_000), (44_100, 16_000), (8_000, 16_000), (48_000, 16_000)]
)
def test_a_tone_stays_a_tone_at_another_rate(rate: int, to: int) -> None:
    given = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    found = resampled(Sound(given, rate), to)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(to) / to)
    assert len(found) == to
    assert np.abs(found - wanted)[400:-400].max() < 1e-4


def test_what_lies_beyond_half_the_rate_is_gone() -> None:
    given = np.sin(2 * np.pi * 9500 * np.arange(44_100) / 44_100).astype(np.float32)
    assert np.abs(resampled(Sound(given, 44_100), 16_000)[400:-400]).max() < 1e-3


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"RIFF0000WAVEfmt ", b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", b"hello" * 99]
)
def test_what_is_no_sound_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"'.*a\.wav' (is|holds) no ") as raised:
        read_sound(tmp_path / "a.wav")
    assert "\n" not in str(raised.value)


def test_a_format_that_is_not_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="format 7 with 8 bits"):
        read_sound(wav(tmp_path / "a.wav", b"\0" * 10, 7, 8))
