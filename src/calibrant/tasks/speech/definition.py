"""What speech recognition is, whatever the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError, SettingsError
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
from calibrant.tasks.media.edits import EditCounts
from calibrant.tasks.media.texts import STEPS, Normalisation
from calibrant.tasks.speech.ctc import NEMO, SENSEVOICE, Ctc, front_of, scores_of
from calibrant.tasks.speech.differences import SpeechDifferences
from calibrant.tasks.speech.labels import open_labels, open_sounds
from calibrant.tasks.speech.score import BANDS, CHARACTER, WER, WORD, Comparison, unit_of
from calibrant.tasks.speech.task import (
    LEVELS,
    NAME,
    NO_TOKENS,
    PACES,
    WORDS,
    Listening,
    Recognizer,
    SpeechTask,
    clip_digest,
)
from calibrant.tasks.speech.tokens import Tokens, read_tokens
from calibrant.tasks.speech.transducer import DECODER, ENCODER, JOINER, transducer_of
from calibrant.tasks.speech.types import Clip
from calibrant.tasks.speech.whisper import Whisper, decoder_of, takes_several

WHISPER, CTC, TRANSDUCER = "whisper", "ctc", "transducer"
TOKEN_FILES = ("tokens.txt", "tokenizer.json", "vocab.json", "vocab.txt", "vocabulary.txt")
_LEAST_TOKENS = 10


@dataclass(frozen=True)
class SpeechOptions:
    """What a user may say of a recognizer and of how its text is compared."""

    tokens: str = option(
        "", "The file of tokens, where none lies beside the model: tokens.txt, tokenizer.json, vocab.json.",
        metavar="FILE",
    )  # fmt: skip
    language: str = option("en", "What Whisper is told is spoken, of a model for several languages.")
    window: float = option(
        30.0, "Seconds that Whisper is given of each clip, silence behind; fewer where its graph allows.",
        low=1, high=30,
    )  # fmt: skip
    clips: int = option(
        1, "How many clips Whisper decodes side by side, where its files take several.",
        low=1, high=256,
    )  # fmt: skip
    text_steps: str = option(
        "nfkc,casefold,words",
        f"What is done to both texts before they are compared: some of {', '.join(STEPS)}.",
        flags=("--text-steps",),
        metavar="STEPS",
    )
    unit: str = option(
        AUTO,
        "What is counted: words, characters, or what fits the language.",
        choices=(AUTO, WORD, CHARACTER),
    )
    led: bool = option(
        False, "Also lead candidates along what the float model heard: top-1 of each step, without labels."
    )


@dataclass(frozen=True)
class Found:
    """What recognition found: the parts' signatures, and the file of tokens that lies beside them."""

    tokens: Path | None = None


class SpeechDefinition(TaskDefinition):
    """Speech recognition: sounds of up to half a minute in, text out."""

    name = NAME
    title: ClassVar[str] = "speech recognition: Whisper, CTC, transducers; word error rate"
    words: ClassVar[Words] = WORDS
    options = SpeechOptions
    data: ClassVar[str] = (
        ".wav or .flac with LibriSpeech's *.trans.txt, Kaldi's wav.scp and text, a NeMo manifest, LJSpeech's "
        "or audiofolder's metadata; a folder of sounds alone is compared with the float model's text"
    )
    calibration: ClassVar[str] = "a folder of sounds, a glob, a .txt list, or labelled sounds"
    columns: ClassVar[Mapping[str, str]] = {
        "exact clips": "exact",
        "empty clips": "empty",
        "runaway clips": "runaway",
    }
    few_labels: ClassVar[int] = 1000
    differences = SpeechDifferences
    features: ClassVar[Mapping[str, Sequence[str]]] = {"length": BANDS, "level": LEVELS, "pace": PACES}

    @property
    def metric(self) -> Metric:
        """The word error rate."""
        return WER

    @property
    def families(self) -> tuple[str, ...]:
        """By how text is decoded."""
        return (WHISPER, CTC, TRANSDUCER)

    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """One file is a CTC recognizer's; only metadata or the user's word tells it from other sequences."""
        return self._ctc(signature, Found(), family)

    def recognise_folder(
        self, signatures: Mapping[str, ModelSignature], folder: ModelFolder, family: str = AUTO
    ) -> Recognition | None:
        """By the parts, and by what they take. Raises ModelError where parts are none that fit together."""
        beside = Found(_tokens_in(folder))
        if MODEL in signatures:
            return self._ctc(signatures[MODEL], beside, family)
        if ENCODER not in signatures or DECODER not in signatures:
            return None
        hears = front_of(signatures[ENCODER]) is not None
        if JOINER in signatures and family in (AUTO, TRANSDUCER) and hears:
            return _recognition(TRANSDUCER, "it has an encoder, a decoder and a joiner", beside)
        if JOINER not in signatures and family in (AUTO, WHISPER) and _mel_bins(signatures[ENCODER]):
            decoder = decoder_of(signatures)
            if decoder is not None:
                kind = type(decoder).__name__
                why = f"its encoder takes a mel spectrum, and its decoder {_words_of[kind]}"
                return _recognition(WHISPER, why, beside, {"decoder": asdict(decoder)})
        return None

    def _ctc(self, signature: ModelSignature, beside: Found, family: str) -> Recognition | None:
        if family not in (AUTO, CTC):
            return None
        front, scores = front_of(signature), scores_of(signature)
        if front is None or scores is None:
            if family == CTC:
                raise ModelError(
                    "a CTC recognizer of speech takes sound or its spectrum and gives (1, steps, tokens)"
                )
            return None
        # One spectrum in and scores out may be anything's: tokens beside it, or known metadata, decide.
        if family == AUTO and beside.tokens is None and not _says_speech(signature):
            return None
        return _recognition(
            CTC,
            f"its input '{front.input}' is {front.kind}, its output by steps",
            beside,
            {"front": front.kind},
        )

    def open_test(
        self, source: str, found: Recognition, options: SpeechOptions, reading: Reading
    ) -> SampleSet:
        """Open clips, labelled or not. Raises DataError."""
        try:
            labelled = open_labels(Path(source), reading.limit)
            clips, warnings = labelled.samples, labelled.warnings
        except DataError:
            if not Path(source).is_dir() or any(Path(source).glob("metadata.*")):
                raise
            clips = open_sounds(source, reading.limit)
            warnings = (
                f"'{source}' has no labels, so candidates are compared with what the float model hears",
            )
        texts = [clip.text for clip in clips if clip.text is not None]
        how = _comparison(options, texts)
        tokens = _tokens(found, options)
        decides = [_contents(clips), tokens.pieces if tokens else (), asdict(options)]
        return SampleSet(
            source=source,
            samples=clips,
            warnings=warnings,
            facts={"words": sum(len(how.units(text)) for text in texts)},
            truth_sha256=_sha256([how.normalise.name, how.unit, *texts]),
            content_sha256=_sha256(decides),
            detail=how,
        )

    def open_calibration(
        self, source: str, found: Recognition, options: SpeechOptions, reading: Reading
    ) -> SampleSet:
        """Open sounds in order, labelled or not. Raises DataError."""
        del found
        clips = open_sounds(source, reading.limit)
        decides = [_contents(clips), options.window, options.language]
        return SampleSet(source, clips, content_sha256=_sha256(decides))

    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: SpeechOptions,
        test: SampleSet | None = None,
    ) -> SpeechTask:
        """The task for a model. Raises ModelError where it is none, DataError for a broken file of tokens."""
        tokens = _tokens(found, options)
        recognizer = _recognizer(signatures, found, options, tokens)
        how = test.detail if test else _comparison(options, ())
        is_labelled = test is None or all(clip.text is not None for clip in test.samples)
        _require_several(signatures, recognizer, options.clips)
        listening = Listening(recognizer, tokens, how, options.led, is_labelled, options.clips)
        kept = (ENCODER,) if ENCODER in signatures else ()
        return SpeechTask(listening, tuple(signatures), kept)

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> EditCounts:
        """What a run kept of every clip."""
        return EditCounts.from_arrays(arrays)

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Test clips with the same bytes as a calibration clip."""
        seen = {clip_digest(clip) for clip in calibration.samples}
        return tuple(clip.id for clip in test.samples if clip_digest(clip) in seen)


_words_of = {
    "StackedCache": "the caches of all layers in one",
    "LayerCaches": "the encoder's states and a cache for each layer, or none",
}


def _recognition(
    family: str, why: str, beside: Found, profile: Mapping[str, Any] | None = None
) -> Recognition:
    return Recognition(NAME, family, why, dict(profile or {}), detail=beside)


def _recognizer(
    signatures: Mapping[str, ModelSignature],
    found: Recognition,
    options: SpeechOptions,
    tokens: Tokens | None,
) -> Recognizer:
    if found.family == WHISPER:
        return _whisper(signatures, options, tokens)
    front = front_of(signatures[ENCODER if found.family == TRANSDUCER else MODEL])
    if front is None:
        raise ModelError("the model takes neither sound nor a spectrum of it (80 bins); name another --task")
    if found.family == TRANSDUCER:
        size = len(tokens) if tokens else 0
        blank = max(size - 1, 0) if front.kind == NEMO else (tokens.blank or 0 if tokens else 0)
        joined = transducer_of(signatures, front, blank)
        if joined is None:
            raise ModelError(
                "the decoder and the joiner are of no layout that is known (Zipformer's, NeMo's)"
            )
        return joined
    scores = scores_of(signatures[MODEL])
    assert scores is not None
    named = tokens.blank if tokens else None
    usual = len(tokens or ()) - 1 if front.kind == NEMO else 0
    return Ctc(front, scores.name, usual if named is None else named)


def _require_several(signatures: Mapping[str, ModelSignature], recognizer: Recognizer, clips: int) -> None:
    if clips == 1:
        return
    if not isinstance(recognizer, Whisper):
        raise SettingsError("only Whisper decodes clips side by side; leave --clips out")
    if not takes_several(signatures):
        raise SettingsError(
            "the model's files take one clip at a time (their first dimension is 1); leave --clips out, or "
            "export them with a dynamic batch"
        )


def _whisper(
    signatures: Mapping[str, ModelSignature], options: SpeechOptions, tokens: Tokens | None
) -> Whisper:
    decoder, bins = decoder_of(signatures), _mel_bins(signatures[ENCODER])
    assert decoder is not None
    info = signatures[ENCODER].inputs[0]
    frames = info.shape[2] if len(info.shape) == 3 else None
    if frames is not None and options.window != 30 and frames != round(100 * options.window):
        raise ModelError(f"the encoder takes {frames / 100:g} s and no other; leave --window out")
    prompt, end, allowed = _prompt(tokens, options.language)
    samples = 160 * (frames or round(100 * options.window))
    return Whisper(info.name, bins or 80, samples, decoder, prompt, end, allowed)


def _prompt(tokens: Tokens | None, language: str) -> tuple[tuple[int, ...], int, int]:
    """What decoding begins with, the token that ends it, and the first that is no text."""
    if tokens is None:
        raise ModelError(NO_TOKENS)
    begin, end = tokens.number("<|startoftranscript|>"), tokens.number("<|endoftext|>")
    if begin is None or end is None:
        # Whisper's own files of tokens list text alone; what follows has fixed places.
        is_english = len(tokens) <= 50_256
        end = 50_256 if is_english else 50_257
        begin, last = end + 1, end + 106
        prompt = (begin, last) if is_english else (begin, begin + 1, last - 4, last)
        return prompt, end, end
    untimed = tokens.number("<|notimestamps|>")
    spoken, transcribe = tokens.number(f"<|{language}|>"), tokens.number("<|transcribe|>")
    # An English model's vocabulary has the languages too, and is never told one.
    is_english = end == 50_256
    if not is_english and spoken is None:
        raise ModelError(f"the model knows no language '{language}'; give a code such as en, zh or de")
    told = (begin, untimed) if is_english else (begin, spoken, transcribe, untimed)
    return tuple(token for token in told if token is not None), end, min(begin, end)


def _mel_bins(signature: ModelSignature) -> int | None:
    """The bins of a Whisper encoder's input; None: it is none."""
    if len(signature.inputs) != 1 or len(signature.inputs[0].shape) != 3:
        return None
    bins = signature.inputs[0].shape[1]
    return bins if bins in (80, 128) else None


def _says_speech(signature: ModelSignature) -> bool:
    """Whether the metadata is of a recognizer that sherpa-onnx exports."""
    told = " ".join(f"{key} {value}" for key, value in signature.metadata.items()).lower()
    front = front_of(signature)
    return (front is not None and front.kind == SENSEVOICE) or any(
        word in told for word in ("ctc", "wav2vec", "nemo", "zipformer", "sense_voice")
    )


def _tokens_in(folder: ModelFolder) -> Path | None:
    named = [folder.files[name] for name in TOKEN_FILES if name in folder.files]
    ended = [path for name, path in folder.files.items() if name.endswith("tokens.txt")]
    return next(iter([*named, *ended]), None)


def _tokens(found: Recognition, options: SpeechOptions) -> Tokens | None:
    path = Path(options.tokens) if options.tokens else found.detail.tokens if found.detail else None
    if path is None:
        return None
    tokens = read_tokens(path)
    if len(tokens) < _LEAST_TOKENS:
        raise DataError(f"'{path}' lists only {len(tokens)} tokens; give the model's own file as --tokens")
    return tokens


def _comparison(options: SpeechOptions, texts: Sequence[str]) -> Comparison:
    unit = unit_of(texts) if options.unit == AUTO else options.unit
    return Comparison(Normalisation(options.text_steps), unit)


def _contents(clips: Sequence[Clip]) -> str:
    return _sha256([clip_digest(clip).hex() for clip in clips])


def _sha256(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()
