"""What a model is for: the whole protocol of a task, in one place.

A task is two things. Its :class:`TaskDefinition` is registered under a name and knows what holds for every
model: the words, the metric, the options, which models it recognises and which data it reads. Bound to a
model and its data it gives a :class:`Task`, which drives sessions, reads what they give, and scores it::

    signature --recognise--> Recognition --bind(+ options, test set)--> Task --drive, interpret, score-->
    Score

Both are base classes: what is not optional is abstract, and an optional face says what it means to lack it.
A new task is a folder in ``tasks/`` (or a package of its own with an entry point in the group
``calibrant.tasks``) and needs no change anywhere else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calibrant.core.auto import AUTO as AUTO
from calibrant.core.metrics import Evidence, Metric, Score
from calibrant.core.types import ModelSignature, Session

MODEL = "model"
"""The name of the only part of a model that is one file."""


@dataclass(frozen=True)
class Words:
    """What a task's samples and labels are called, e.g. image, images, box, boxes."""

    sample: str = "sample"
    samples: str = "samples"
    label: str = "label"
    labels: str = "labels"

    def counted(self, samples: int) -> str:
        """A number of samples, e.g. "1 image", "300 images"."""
        return f"{samples} {self.sample if samples == 1 else self.samples}"


@dataclass(frozen=True)
class Recognition:
    """What a model was taken for, and why.

    family: the kind of model within the task. profile: how its input is made and its output read; JSON types
    only, and all that decides it, as results and keys are made of it. facts: what the model shows, told by
    ``inspect``, e.g. {"classes": 80}. detail: what the task itself wants to know when it is bound.
    """

    task: str
    family: str
    why: str
    profile: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    detail: Any = None


@dataclass(frozen=True)
class ModelFolder:
    """A model of several files, as they lie in a folder.

    parts: the ONNX files by the part's name, in the order in which data flows. files: the others by their
    names, such as tokens and configurations. layout: whose names they have, for people. task: what the
    folder itself says it is for.
    """

    path: Path
    parts: Mapping[str, Path]
    files: Mapping[str, Path] = field(default_factory=dict)
    layout: str = ""
    task: str = AUTO


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples in order, opened and checked.

    warnings: remarks of one line that the user should see once. facts: counts that results keep, by what is
    counted, e.g. {"boxes": 2323, "classes": 80}. content_sha256: over the samples' contents and all else that
    decides what a model's prediction is, truth_sha256: over the labels; empty: not known. detail: what the
    task itself wants to know when it is bound, such as the classes' names.
    """

    source: str
    samples: tuple[Any, ...]
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, int] = field(default_factory=dict)
    truth_sha256: str = ""
    content_sha256: str = ""
    detail: Any = None


@dataclass(frozen=True)
class Reading:
    """How a data set is read: limit: only the first so many samples. skip_bad: leave out unreadable ones."""

    limit: int | None = None
    skip_bad: bool = False


@dataclass(frozen=True, eq=False)
class Look:
    """What one sample shows, for coverage.

    features: how often each feature occurs in it, by (kind, name), e.g. ("class", "person"). fingerprint:
    uint8, of the same length for all samples, which nearly equal samples share up to a few bits; None: it
    has none.
    """

    features: Mapping[tuple[str, str], int]
    fingerprint: NDArray[np.uint8] | None = None


@runtime_checkable
class Differences(Protocol):
    """How one candidate's predictions differ from the float model's: a dataclass of JSON types."""

    @property
    def calibrator(self) -> str:
        """Whose predictions they are."""
        ...

    def sentence(self) -> str:
        """What a user of the candidate would notice, without a full stop."""
        ...


class ResultCache(Protocol):
    """Keeps bytes by kind and key: a cache of results."""

    def read(self, kind: str, key: str) -> bytes | None:
        """What is kept; None: nothing."""
        ...

    def write(self, kind: str, key: str, content: bytes) -> None:
        """Keep it, if there is room."""
        ...


class Task(ABC):
    """A task bound to a model: drives it, reads it, scores it.

    ``parts`` are the names of the sessions that it drives: one, called "model", for a model that is one file.
    ``kept_parts``: those of several parts that run once a sample, on the sample alone or on what others of
    them give; what they give in float is kept while candidates of later parts are measured.
    ``batch``: how many samples :meth:`drive` may be given at once; 1 where each is run by itself.
    ``needs_reference``: it has no labels, and scores against what the float model predicts for test samples.
    """

    name: str
    words: Words = Words()
    parts: tuple[str, ...] = (MODEL,)
    kept_parts: tuple[str, ...] = ()
    batch: int = 1
    needs_reference: bool = False

    @property
    @abstractmethod
    def metric(self) -> Metric:
        """What :meth:`score` measures."""

    # --- from a sample to a score: what every task has ------------------------------------------------

    @abstractmethod
    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Any]) -> Sequence[Any]:
        """Run the model on samples (at most ``batch``): the raw outputs of each, in order.

        sessions: by part. Called from several threads where sessions allow it. Calibration samples come too.
        Raises DataError for a sample that does not fit.
        """

    @abstractmethod
    def interpret(self, raw: Any, sample: Any) -> Any:
        """Turn raw outputs into a prediction (for a detector: boxes after NMS).

        Nothing of ``raw`` may be kept: a runtime may use its memory again. Raises ModelError for outputs that
        are not what the model was recognised to give.
        """

    @abstractmethod
    def score(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Score:
        """Score predictions, one for each labelled sample, in the same order."""

    @abstractmethod
    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        """How far two models predict the same for the same samples, without labels, 0..1; 1: all the same."""

    def evidence(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Evidence:
        """The evidence of :meth:`score`, to the bit; a task may give it for less than the score."""
        return self.score(samples, predictions).evidence

    def referring_to(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Self:
        """The same task, knowing what the float model predicts for the test samples; see needs_reference."""
        del samples, predictions
        return self

    def check(self, raw: Any, sample: Any) -> None:
        """Raise ModelError where a float model's raw outputs contradict what it was taken for.

        Called once, before any work, with those of a calibration sample.
        """
        del raw, sample

    @property
    def instruments(self) -> Mapping[str, Path]:
        """Models that only measure, such as a judge of sounds, by name: the reference runtime runs them."""
        return {}

    def equipped(self, tools: Callable[[], Mapping[str, Session]]) -> Self:
        """The same task with its instruments, opened when they are first asked for."""
        del tools
        return self

    # --- optional: what lets others keep, send and estimate -------------------------------------------

    def pack(self, predictions: Sequence[Any]) -> Mapping[str, NDArray[Any]] | None:
        """Predictions as plain arrays by name, to be kept between runs; None: they cannot be."""
        del predictions
        return None

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        """The predictions that :meth:`pack` was given. Raises KeyError or ValueError for other arrays."""
        raise KeyError(", ".join(arrays))

    def digest(self, sample: Any) -> bytes | None:
        """A hash of a sample's content (of an unreadable file: of nothing); None: it cannot be told."""
        del sample
        return None

    def memory(self, sample: Any) -> int:
        """Bytes that preparing a sample takes beside the model's own; 0: next to none."""
        del sample
        return 0

    @property
    def prediction_bytes(self) -> int:
        """What one sample's prediction takes, bytes, at most."""
        return 0

    @property
    def prepared_bytes(self) -> int:
        """What one sample takes when it is kept as it was prepared for the model; 0: it is not kept."""
        return 0

    def remembering(self, cache: ResultCache) -> Self:
        """The same task, which prepares each sample once and then finds it with ``cache``."""
        del cache
        return self

    # --- optional: what lets a diagnosis and coverage say more ----------------------------------------

    def differences(
        self, calibrator: str, samples: Sequence[Any], reference: Evaluated, found: Evaluated
    ) -> Differences | None:
        """What a user notices of a candidate against the float model; None: the task cannot tell."""
        del calibrator, samples, reference, found
        return None

    def picture(self, raw: Any, sample: Any) -> tuple[str, bytes] | None:
        """What a model gives for one sample, to look at: a sentence, and a PNG file's content.

        None: the task has no picture. Raises DataError for a sample that cannot be drawn.
        """
        del raw, sample
        return None

    def describe(self, sample: Any, prediction: Any | None = None) -> Look | None:
        """What a sample shows: by its labels, or by a model's prediction; None: it cannot be looked at.

        Raises DataError for a sample that cannot be read.
        """
        del sample, prediction
        return None


@dataclass(frozen=True)
class Evaluated:
    """Predictions, one for each sample in order, with their score."""

    predictions: Sequence[Any]
    score: Score


@dataclass(frozen=True)
class NoOptions:
    """The options of a task that has none."""


class TaskDefinition(ABC):
    """What a task is, whatever the model: registered under its name.

    title: what ``calibrant tasks`` says it is for. options: a frozen dataclass whose fields carry what
    :func:`option` made of them. data, calibration: the forms that samples may have, in a few words, for help
    texts. columns: the figures that tables show beside the metric, and how they head them. few_labels:
    labels (``words.labels`` in a set's facts) below which a user is told that there are few. is_named_only:
    it fits any model, and is taken only where the user names it. differences, features: what
    :meth:`Task.differences` gives, and the order of the features' names, by kind, in which coverage tells
    them. same_bits: fingerprints that differ in at most so many bits are of samples that show the same.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    words: ClassVar[Words] = Words()
    options: ClassVar[type[Any]] = NoOptions
    data: ClassVar[str] = "labelled samples"
    calibration: ClassVar[str] = "samples"
    columns: ClassVar[Mapping[str, str]] = {}
    few_labels: ClassVar[int] = 0
    takes_any_size: ClassVar[bool] = False
    is_named_only: ClassVar[bool] = False
    differences: ClassVar[type[Any] | None] = None
    features: ClassVar[Mapping[str, Sequence[str]]] = {}
    same_bits: ClassVar[int] = 0

    @property
    @abstractmethod
    def metric(self) -> Metric:
        """The metric under the default options."""

    @property
    def families(self) -> tuple[str, ...]:
        """The names of families that a user may give."""
        return ()

    @abstractmethod
    def recognise(self, signature: ModelSignature, family: str = AUTO) -> Recognition | None:
        """What a model is; None: it is none of this task's, or the family is none of its.

        family: "auto", a family's name or a file that describes one. Raises ModelError (UnknownFamilyError)
        with the reason where it may well be one of this task's and cannot be read.
        """

    def recognise_folder(
        self, signatures: Mapping[str, ModelSignature], folder: ModelFolder, family: str = AUTO
    ) -> Recognition | None:
        """As :meth:`recognise` for a model of several parts, or of one with files beside it.

        signatures: by part. The profile has to tell whatever of the other files decides a prediction.
        """
        del signatures, folder, family
        return None

    @abstractmethod
    def open_test(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Open a labelled test set that fits the model. Raises DataError."""

    @abstractmethod
    def open_calibration(self, source: str, found: Recognition, options: Any, reading: Reading) -> SampleSet:
        """Open calibration samples, in order; no labels are needed. Raises DataError."""

    def calibration_of(self, source: str) -> str | None:
        """Calibration samples that a labelled set names itself, its training part; None: it names none.

        source: as for :meth:`open_test`; the answer is as for :meth:`open_calibration`. Raises DataError
        where it names some that cannot be taken.
        """
        del source
        return None

    @abstractmethod
    def bind(
        self,
        signatures: Mapping[str, ModelSignature],
        found: Recognition,
        options: Any,
        test: SampleSet | None = None,
    ) -> Task:
        """The task for a model; without a test set it can drive the model and compare, but not score.

        signatures: by part. Raises ModelError or SettingsError where the model's inputs do not fit.
        """

    def evidence_from(self, arrays: Mapping[str, NDArray[Any]]) -> Evidence:
        """The evidence that gave these arrays (``to_arrays``). Raises KeyError or ValueError for others."""
        raise KeyError(", ".join(arrays))

    def in_both(self, calibration: SampleSet, test: SampleSet) -> tuple[str, ...]:
        """Calibration samples, by what users call them, that are in the test set too."""
        ids = {sample.id for sample in test.samples}
        return tuple(sample.id for sample in calibration.samples if sample.id in ids)


# --- options ---------------------------------------------------------------------------------------


def option(
    default: Any,
    help: str,  # noqa: A002
    *,
    flags: Sequence[str] = (),
    metavar: str | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    is_side: bool = False,
    is_place: bool = False,
) -> Any:
    """A field of a task's options.

    help: for the command line. flags: of the command line; none: ``--the-field's-name``. low, high: the
    limits of a number, both allowed. choices: the texts that are allowed; none: any. is_side: it is another
    name for the model's input shape, of which it gives both sides. is_place: it says where the samples lie,
    not what they are.
    """
    told = {
        "help": help,
        "flags": tuple(flags),
        "metavar": metavar,
        "low": low,
        "high": high,
        "choices": tuple(choices),
        "is_side": is_side,
        "is_place": is_place,
    }
    return field(default=default, metadata=told)


# --- small helpers that tasks share ----------------------------------------------------------------


def sole(sessions: Mapping[str, Session]) -> Session:
    """The session of a model that is one file."""
    return sessions[MODEL]
