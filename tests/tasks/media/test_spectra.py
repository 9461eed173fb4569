"""Spectra against the extractors that models were trained with."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.core.types import FloatArray
from calibrant.tasks.media.spectra import Fbank, nemo_mel, whisper_mel


@pytest.fixture(scope="module")
def sound() -> FloatArray:
    rng = np.random.default_rng(0)
    time = np.arange(30_000) / 16_000
    tone = np.sin(2 * np.pi * 220 * time * (1 + time)) * 0.3
    return np.asarray(tone + rng.standard_normal(30_000) * 0.05, np.float32)


@pytest.mark.parametrize("bins", [80, 128])
def test_whispers_mel_is_transformers(bins: int, sound: FloatArray) -> None:
    transformers = pytest.importorskip("transformers")
    extract = transformers.WhisperFeatureExtractor(feature_size=bins)
    wanted = extract(sound, sampling_rate=16_000, return_tensors="np").input_features
    assert whisper_mel(sound, bins).shape == wanted.shape
    assert np.abs(whisper_mel(sound, bins) - wanted).max() < 2e-5


def test_nemos_mel_is_transformers(sound: FloatArray) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    wanted = transformers.ParakeetFeatureExtractor()(sound, sampling_rate=16_000, return_tensors="np")
    found = nemo_mel(sound)
    assert np.abs(found[0] - wanted.input_features[0].T[:, : found.shape[2]]).max() < 1e-3


@pytest.mark.parametrize(("window", "snips", "high"), [("povey", False, -400.0), ("hamming", True, 0.0)])
@pytest.mark.parametrize("length", [399, 400, 16_000, 29_999])
def test_fbank_is_kaldis(window: str, snips: bool, high: float, length: int, sound: FloatArray) -> None:
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = snips
    options.frame_opts.window_type = window
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = 80, 20, high
    extract = knf.OnlineFbank(options)
    extract.accept_waveform(16_000, sound[:length].tolist())
    extract.input_finished()
    wanted = [extract.get_frame(at) for at in range(extract.num_frames_ready)]
    found = Fbank(80, 20, high, window, snips)(sound[:length])
    assert len(found) == len(wanted)
    assert not wanted or np.abs(found - np.stack(wanted)).max() < 2e-3
