"""What speech synthesis is, whatever the voice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError
from calibrant.core.metrics import Metric
from calibrant.core.tasks import (
    AUTO,
    MODEL,
    ModelFolder,
    Reading,
    Recognition,
    SampleSet,
    TaskDefinition,
    Words,
    option,
)
from calibrant.core.types import ModelSignature
from calibrant.tasks.media.files import text_of
from calibrant.tasks.synthesis.differences import SynthesisDifferences
from calibrant.tasks.synthesis.judging import judge_file
from calibrant.tasks.synthesis.labels import FORM, open_sentences
from calibrant.tasks.synthesis.score import DNSMOS, Marks
from calibrant.tasks.synthesis.task import NAME, WORDS, Speaking, SynthesisTask
from calibrant.tasks.synthesis.voices import ACOUSTIC, VOCODER, Pace, TwoParts, Vits, inputs_of, two_parts_of

VITS, TWO_PARTS = "vits", "two-parts"
_USUAL_RATE = 22_050


@dataclass(frozen=True)
class SynthesisOptions:
    """What a user may say of a voice."""

    rate: int = option(
        0, "Samples a second of the voice's sound; 0: as its .onnx.json or its metadata tells, else 22050.",
        flags=("--sound-rate",), low=0, high=192_000,
    )  # fmt: skip
    noise: float = option(
        0.0, "How much the sound varies by chance; 0 while models are compared.", low=0, high=2
    )
    noise_of_durations: float = option(0.0, "The same of how long phonemes take.", low=0, high=2)
    pace: float = option(1.0, "How long a sentence takes: 2 is half as fast.", low=0.1, high=10)
    speaker: int = option(0, "The number of the speaker, of a voice for several.", low=0)


class SynthesisDefinition(TaskDefinition):
    """Speech synthesis: numbers of phonemes in, sound out."""

    name = NAME
    title: ClassVar[str] = "speech synthesis: voices of one or two files, judged by DNSMOS"
    words: ClassVar[Words] = WORDS
    options = SynthesisOptions
    data: ClassVar[str] = FORM
    calibration: ClassVar[str] = FORM
    columns: ClassVar[Mapping[str, str]] = {"mel distance": "mel dist.", "length change": "length %"}
    differences = SynthesisDifferences

    @property
    def metric(self) -> Metric:
        """DNSMOS."""
        return DNSMOS

    @property
    def families(self) -> tuple[str, ...]:
        """Of one file or two."""
        return (VITS, TWO_PARTS)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """A voice of one file takes numbers, their count and scales, and gives one sound."""
        return self._vits(signature, family, _rate_in(signature.metadata))

    def recognise_folder(
        self, signatures: Mapping[str, ModelSignature], folder: ModelFolder, family: str = AUTO
    ) -> Recognition | None:
        """By the parts. Raises DataError for a broken .onnx.json."""
        if MODEL in signatures:
            return self._vits(
                signatures[MODEL], family, _rate_of(folder) or _rate_in(signatures[MODEL].metadata)
            )
        if set(signatures) != {ACOUSTIC, VOCODER} or family not in (AUTO, TWO_PARTS):
            return None
        if two_parts_of(signatures) is None:
            raise ModelError("the acoustic model takes no phonemes, or the vocoder not one mel spectrum")
        rate = _rate_of(folder) or _rate_in(signatures[ACOUSTIC].metadata)
        return _recognition(TWO_PARTS, "it has an acoustic model and a vocoder", rate)

    def _vits(self, signature: ModelSignature, family: str, rate: int) -> Recognition | None:
        if family not in (AUTO, VITS):
            return None
        inputs = inputs_of(signature)
        is_voice = inputs is not None and (inputs.scales or (inputs.noise and inputs.length))
        if inputs is None or len(signature.outputs) != 1 or not (is_voice or family == VITS):
            if family == VITS:
                raise ModelError("a voice takes numbers of phonemes with scales and gives one sound")
            return None
        return _recognition(
            VITS, f"it takes phonemes as '{inputs.phonemes}' with scales, and gives sound", rate
        )

    def open_test(
        self, source: str, found: Recognition, options: SynthesisOptions, reading: Reading
    ) -> SampleSet:
        """Open sentences. Raises DataError."""
        sentences = open_sentences(source, reading.limit)
        decides = _sha256([[each.phonemes for each in sentences], asdict(options), dict(found.profile)])
        facts = {"phonemes": sum(len(each.phonemes) for each in sentences)}
        return SampleSet(source, sentences, facts=facts, truth_sha256=decides, content_sha256=decides)

    def open_calibration(
        self, source: str, found: Recognition, options: SynthesisOptions, reading: Reading
    ) -> SampleSet:
        """Open sentences, in order. Raises DataError."""
        return self.open_test(source, found, options, reading)

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: SynthesisOptions,
        test: SampleSet | None = None,
    ) -> SynthesisTask:
        """The task for a voice. Raises ModelError where it is none, SettingsError without a judge."""
        del test
        if found.family == VITS:
            inputs = inputs_of(signatures[MODEL])
            voice: Vits | TwoParts | None = Vits(inputs) if inputs is not None else None
        else:
            voice = two_parts_of(signatures)
        if voice is None:
            raise ModelError("the model takes no phonemes; name another --task")
        pace = Pace(options.noise, options.noise_of_durations, options.pace, options.speaker)
        rate = options.rate or int(found.profile["rate"])
        return SynthesisTask(Speaking(voice, pace, rate, judge_file()), tuple(signatures))

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> Marks:
        """What a run kept of every sentence."""
        return Marks.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test sentences that are calibration sentences too."""
        seen = {each.phonemes for each in calibration.samples}
        return tuple(each.id for each in test.samples if each.phonemes in seen)


def _recognition(family: str, why: str, rate: int) -> Recognition:
    return Recognition(NAME, family, why, {"rate": rate or _USUAL_RATE}, {"rate": rate or _USUAL_RATE})


def _rate_of(folder: ModelFolder) -> int:
    """What Piper's .onnx.json tells; 0: there is none."""
    path = next((path for name, path in folder.files.items() if name.endswith(".onnx.json")), None)
    if path is None:
        return 0
    try:
        return int(json.loads(text_of(path))["audio"]["sample_rate"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"'{path}' tells no audio.sample_rate; give the voice's own file beside it"
        ) from error


def _rate_in(metadata: Mapping[str, str]) -> int:
    told = metadata.get("sample_rate", "")
    return int(told) if told.isdecimal() else 0


def _sha256(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
