"""How voices are driven: VITS of one file, or an acoustic model and a vocoder of its mel spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.tasks import MODEL
from calibrant.core.types import FloatArray, ModelSignature, Session, TensorInfo

ACOUSTIC, VOCODER = "acoustic", "vocoder"


@dataclass(frozen=True)
class Pace:
    """What a voice is told: how much its sound and its durations vary by chance, and how long it takes."""

    noise: float = 0.0
    noise_of_durations: float = 0.0
    length: float = 1.0
    speaker: int = 0


@dataclass(frozen=True)
class Inputs:
    """The names of a model's inputs; None: it has none.

    scales: noise, length and noise of durations in one; else each has an input of its own.
    """

    phonemes: str
    type: str
    count: str | None
    scales: str | None
    noise: str | None
    length: str | None
    noise_of_durations: str | None
    speaker: str | None

    def feeds(self, phonemes: Sequence[int], pace: Pace) -> dict[str, NDArray[np.generic]]:
        """The model's inputs for one sentence."""
        feeds: dict[str, NDArray[np.generic]] = {self.phonemes: np.array([phonemes], self.type)}
        if self.count:
            feeds[self.count] = np.array([len(phonemes)], self.type)
        if self.scales:
            feeds[self.scales] = np.array([pace.noise, pace.length, pace.noise_of_durations], np.float32)
        singles = (
            (self.noise, pace.noise),
            (self.length, pace.length),
            (self.noise_of_durations, pace.noise_of_durations),
        )
        feeds |= {name: np.array([value], np.float32) for name, value in singles if name}
        if self.speaker:
            feeds[self.speaker] = np.array([pace.speaker], np.int64)
        return feeds


def inputs_of(signature: ModelSignature) -> Inputs | None:
    """How a model's inputs are filled, by their names; None: they are no voice's."""
    known = {info.name.lower(): info for info in signature.inputs}

    def named(*names: str) -> str | None:
        return next((known.pop(name).name for name in names if name in known), None)

    kinds = {info.name: info.dtype for info in signature.inputs}
    phonemes = named("input", "x", "input_ids", "tokens", "text", "phoneme_ids")
    if phonemes is None or not kinds[phonemes].startswith("int"):
        return None
    found = Inputs(
        phonemes,
        kinds[phonemes],
        named("input_lengths", "x_length", "x_lengths", "input_length", "text_lengths"),
        named("scales"),
        named("noise_scale", "temperature"),
        named("length_scale", "speed_scale"),
        named("noise_scale_w", "noise_scale_dur", "noise_w"),
        named("sid", "speaker_id", "spks"),
    )
    return None if known else found


@dataclass(frozen=True)
class Vits:
    """A voice of one file."""

    inputs: Inputs

    def speak(self, sessions: Mapping[str, Session], phonemes: Sequence[int], pace: Pace) -> FloatArray:
        """The samples of one sentence."""
        return _samples(sessions[MODEL].run(self.inputs.feeds(phonemes, pace)))


@dataclass(frozen=True)
class TwoParts:
    """An acoustic model and a vocoder. mel: the vocoder's input, which takes (1, bins, frames), or turned."""

    inputs: Inputs
    mel: str
    is_turned: bool

    def speak(self, sessions: Mapping[str, Session], phonemes: Sequence[int], pace: Pace) -> FloatArray:
        """The samples of one sentence."""
        mel = np.asarray(next(iter(sessions[ACOUSTIC].run(self.inputs.feeds(phonemes, pace)).values())))
        fed = np.ascontiguousarray(mel.transpose(0, 2, 1) if self.is_turned else mel)
        return _samples(sessions[VOCODER].run({self.mel: fed}))


def two_parts_of(signatures: Mapping[str, ModelSignature]) -> TwoParts | None:
    """How both parts are run, by their inputs; None: they are no voice's."""
    inputs, vocoder = inputs_of(signatures[ACOUSTIC]), signatures[VOCODER]
    given = signatures[ACOUSTIC].outputs[0]
    if inputs is None or len(vocoder.inputs) != 1 or len(vocoder.inputs[0].shape) != 3:
        return None
    bins = [_bins_axis(info) for info in (given, vocoder.inputs[0])]
    return TwoParts(inputs, vocoder.inputs[0].name, None not in bins and bins[0] != bins[1])


def _bins_axis(info: TensorInfo) -> int | None:
    """Where the fixed number of bins is."""
    return next((axis for axis in (1, 2) if len(info.shape) == 3 and info.shape[axis] is not None), None)


def _samples(outputs: Mapping[str, NDArray[np.generic]]) -> FloatArray:
    return np.array(next(iter(outputs.values())), np.float32).reshape(-1)
