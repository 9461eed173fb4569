"""Recognizers of one file: scores of tokens by steps, and CTC's best path (wav2vec2, NeMo, SenseVoice)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from calibrant.core.tasks import sole
from calibrant.core.types import FloatArray, ModelSignature, Session, TensorInfo
from calibrant.tasks.media.spectra import Fbank, nemo_mel
from calibrant.tasks.speech.types import Heard

WAVEFORM, NEMO, KALDI, SENSEVOICE = "waveform", "nemo", "kaldi", "sensevoice"


@dataclass(frozen=True)
class Front:
    """How a model's input is made of samples at 16 kHz.

    input, length: the names of the features' input and of their count's (None: it has none); counts: the
    latter's type. extra: other inputs, by name, with the number that each is fed. window, shift: so many
    frames are joined, each so many. mean, scale: are added to and multiplied with what was joined.
    """

    kind: str
    input: str
    bins: int
    length: str | None = None
    counts: str = "int64"
    extra: Mapping[str, int] = field(default_factory=dict)
    window: int = 1
    shift: int = 1
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def feeds(self, values: FloatArray) -> dict[str, NDArray[np.generic]]:
        """The model's inputs for one clip."""
        features = self._features(values)
        count = features.shape[2] if self.kind == NEMO else features.shape[1]
        feeds: dict[str, NDArray[np.generic]] = {self.input: features}
        if self.length:
            feeds[self.length] = np.array([count], self.counts)
        return {**feeds, **{name: np.array([value], np.int32) for name, value in self.extra.items()}}

    def _features(self, values: FloatArray) -> FloatArray:
        if self.kind == WAVEFORM:
            # transformers, Wav2Vec2FeatureExtractor with do_normalize
            spread = np.sqrt(values.var() + 1e-7)
            return np.asarray(((values - values.mean()) / spread)[None].astype(np.float32))
        if self.kind == NEMO:
            return nemo_mel(values, self.bins)
        if self.kind == KALDI:
            return Fbank(self.bins)(values)[None]
        frames = Fbank(80, high=0.0, window="hamming", snips=True)(values * np.float32(32768))
        joined = _joined(frames, self.window, self.shift)
        if self.mean:
            joined = (joined + np.array(self.mean, np.float32)) * np.array(self.scale, np.float32)
        return np.ascontiguousarray(joined[None])


def _joined(frames: FloatArray, window: int, shift: int) -> FloatArray:
    """Frames joined in windows (FunASR's low frame rate): the first is repeated in front, the last behind."""
    if not len(frames):
        frames = np.zeros((1, frames.shape[1]), np.float32)
    before = (window - 1) // 2
    count = -(-len(frames) // shift)
    at = np.arange(count)[:, None] * shift + np.arange(window) - before
    return np.asarray(frames[at.clip(0, len(frames) - 1)].reshape(count, -1))


@dataclass(frozen=True)
class Ctc:
    """A model of one file. output: of the scores. blank: the class that stands for no token."""

    front: Front
    output: str
    blank: int

    def hear(self, sessions: Mapping[str, Session], values: FloatArray, follow: Heard | None = None) -> Heard:
        """The best path of one clip; it follows nothing, as no step is told what was said before."""
        del follow
        return Heard(best_path(sole(sessions).run(self.front.feeds(values))[self.output][0], self.blank))


def best_path(scores: NDArray[np.generic], blank: int) -> tuple[int, ...]:
    """The strongest class of every step, repeats and blanks left out; scores: (T, V)."""
    classes = scores.argmax(axis=1)
    begins = np.ones(len(classes), bool)
    begins[1:] = classes[1:] != classes[:-1]
    return tuple(classes[begins & (classes != blank)].tolist())


def front_of(signature: ModelSignature) -> Front | None:
    """How the features' input is to be filled, by its shape; None: it is no speech model's."""
    floats = [info for info in signature.inputs if info.dtype.startswith("float")]
    if len(floats) != 1:
        return None
    info, others = floats[0], [info for info in signature.inputs if info.dtype.startswith("int")]
    if len(others) != len(signature.inputs) - 1:
        return None
    length = next((other for other in others if "len" in other.name.lower()), None)
    told = {"length": length.name if length else None, "counts": length.dtype if length else "int64"}
    extra = [other for other in others if other is not length]
    if len(info.shape) == 2 and not extra and info.shape[1] is None:
        return Front(WAVEFORM, info.name, 0, **told)  # type: ignore[arg-type]
    if len(info.shape) != 3:
        return None
    return _spectral(info, extra, signature.metadata, told)


def _spectral(
    info: TensorInfo, extra: Sequence[TensorInfo], metadata: Mapping[str, str], told: Mapping[str, str | None]
) -> Front | None:
    _, middle, last = info.shape
    if extra and last is not None and last > 200:
        return Front(
            SENSEVOICE,
            info.name,
            80,
            extra=_sensevoice_says(extra, metadata),
            window=int(metadata.get("lfr_window_size", 7)),
            shift=int(metadata.get("lfr_window_shift", 6)),
            mean=_numbers(metadata.get("neg_mean", "")),
            scale=_numbers(metadata.get("inv_stddev", "")),
            **told,  # type: ignore[arg-type]
        )
    if extra:
        return None
    if middle in (64, 80, 128):
        return Front(NEMO, info.name, middle or 80, **told)  # type: ignore[arg-type]
    if last in (40, 80):
        return Front(KALDI, info.name, last or 80, **told)  # type: ignore[arg-type]
    return None


def _sensevoice_says(extra: Sequence[TensorInfo], metadata: Mapping[str, str]) -> dict[str, int]:
    """Any language, and numbers in words."""
    named = {"language": "lang_auto", "text_norm": "without_itn", "textnorm": "without_itn"}
    usual = {"lang_auto": 0, "without_itn": 15}
    keys = {info.name: named.get(info.name, "lang_auto") for info in extra}
    return {name: int(metadata.get(key, usual[key])) for name, key in keys.items()}


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part.strip())


def scores_of(signature: ModelSignature) -> TensorInfo | None:
    """The output of scores by steps (N, T, V), the first of three dimensions."""
    return next(
        (info for info in signature.outputs if len(info.shape) == 3 and info.dtype.startswith("float")), None
    )
