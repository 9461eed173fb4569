"""Settings in, keyed trials out: pure, so that the same study has the same keys everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from calibrant.core.errors import SettingsError
from calibrant.core.from_json import built
from calibrant.core.types import Encoding
from calibrant.stages.recommend import PREFERENCES, SIMPLEST
from calibrant.tasks.registry import input_shape_in

MOST_ERROR = 0.1
RENAMED = {"keep_float": "exclude"}
"""Names that settings had before, and have now."""
_DECIDES_NO_PREDICTION = ("seed", "race_error", "prefer", "max_loss")


@dataclass(frozen=True)
class StudySettings:
    """What the user decided besides model and data; everything here may change a number.

    ``input_shape``: height and width of the input, where the model leaves them open. ``race_error``: how
    often, at most, stopping candidates early may drop the eventual winner; None: every candidate is run on
    every sample. ``prefer``: which of the candidates that are indistinguishable from the best is
    recommended. ``max_loss``: what a recommended candidate may lose, in the metric's unit; None: any.
    ``metric``: a user's own, as he named it; None: the task's.
    ``options``: the task's own, by name. Raises SettingsError for a number outside its limits.
    """

    scheme: str = "tensorrt"
    runtime: str = "onnxruntime"
    exclude: tuple[str, ...] = ()
    keep_head_float: bool = False
    input_shape: tuple[int, ...] | None = None
    seed: int = 0
    race_error: float | None = 0.01
    prefer: str = SIMPLEST
    max_loss: float | None = None
    metric: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.input_shape is not None and min(self.input_shape, default=0) < 1:
            shown = "x".join(map(str, self.input_shape))
            raise SettingsError(f"an input shape of {shown} holds nothing; use e.g. 640x640")
        if self.prefer not in PREFERENCES:
            raise SettingsError(f"{self.prefer!r} cannot be preferred; use {' or '.join(PREFERENCES)}")
        if self.max_loss is not None and not self.max_loss >= 0:
            raise SettingsError(f"a loss of {self.max_loss} cannot be allowed; use 0 or more")
        if self.seed < 0:
            raise SettingsError(f"seed {self.seed} is negative; use 0 or more")
        if self.race_error is not None and not 0 < self.race_error <= MOST_ERROR:
            raise SettingsError(f"a race error of {self.race_error} is not above 0 and at most {MOST_ERROR}")

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            **asdict(self),
            "exclude": list(self.exclude),
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "options": dict(self.options),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StudySettings:
        """The settings that :meth:`to_dict` gave, now or under schema 1. Raises KeyError or TypeError.

        Schema 1 held the options of its only task beside the rest, and the side of a square input among them.
        """
        if not isinstance(content, Mapping):
            raise TypeError(f"settings are {content!r:.40}")
        content = {RENAMED.get(name, name): value for name, value in content.items()}
        known = {name: content[name] for name in content if name in cls.__dataclass_fields__}
        own = {name: content[name] for name in content if name not in known and content[name] is not None}
        options = {**known.get("options", {}), **own}
        shape = known.get("input_shape") or input_shape_in(options)
        return built(cls, {**known, "options": options, "input_shape": shape})


def input_shape_of(text: str) -> tuple[int, ...]:
    """An input shape as users write it: height and width, "48x320"; one side is of a square.

    Raises SettingsError.
    """
    parts = text.lower().split("x")
    if not all(part.strip().isdecimal() for part in parts):
        raise SettingsError(f"{text!r} is no input shape; use e.g. 640x640 (height x width)")
    sides = tuple(int(part) for part in parts)
    return sides * 2 if len(sides) == 1 else sides


def sides_of(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width of an input shape. Raises SettingsError where it has more or fewer sides."""
    if len(shape) != 2:
        shown = "x".join(map(str, shape))
        raise SettingsError(f"an input shape has a height and a width, not {shown}; use e.g. 640x640")
    return shape[0], shape[1]


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a study share and what, with a candidate's encodings, decides its score.

    The encodings stand for calibrator, its parameters and calibration samples, which decide nothing else.
    ``test_sha256`` is over the samples' contents and all else that decides predictions; empty: not known.
    """

    task: str
    model_sha256: str
    profile: Mapping[str, Any]
    settings: StudySettings
    test_ids_sha256: str
    truth_sha256: str
    runtime_version: str
    test_sha256: str = ""

    def key(self, encodings: Mapping[str, Encoding], method: str | None = None) -> str:
        """A stable hash of one trial; trials with the same key have the same score.

        ``method`` names the calibrator, and the samples that it is shown, where the runtime's own chooses
        the scales, whatever ours say.
        """
        settings = self.settings.to_dict()
        content = {
            **asdict(self),
            "settings": {name: settings[name] for name in settings if name not in _DECIDES_NO_PREDICTION},
            "encodings": encodings_sha256(encodings),
            **({"method": method} if method else {}),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()


def encodings_sha256(encodings: Mapping[str, Encoding]) -> str:
    """A hash of every tensor's scale, zero point and spec, in name order."""
    digest = hashlib.sha256()
    for tensor in sorted(encodings):
        encoding = encodings[tensor]
        digest.update(repr((tensor, encoding.spec)).encode())
        digest.update(encoding.scale.tobytes() + encoding.zero_point.tobytes())
    return digest.hexdigest()


def ids_sha256(ids: Iterable[str]) -> str:
    """A hash of sample ids, in order."""
    digest = hashlib.sha256()
    for sample_id in ids:
        digest.update(sample_id.encode() + b"\0")
    return digest.hexdigest()
