"""Settings in, keyed trials out: pure, so that the same study has the same keys everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from calibrant.core.errors import SettingsError
from calibrant.core.types import Encoding

MOST_ERROR = 0.1
_DECIDES_NO_PREDICTION = ("seed", "race_error")


@dataclass(frozen=True)
class StudySettings:
    """What the user decided besides model and data; everything here may change a number.

    ``race_error``: how often, at most, stopping candidates early may drop the eventual winner; None: every
    candidate is run on every image. Raises SettingsError for a number outside its limits.
    """

    scheme: str = "tensorrt"
    runtime: str = "onnxruntime"
    keep_float: tuple[str, ...] = ()
    keep_head_float: bool = False
    confidence: float = 0.001
    iou: float = 0.65
    max_detections: int = 300
    imgsz: int | None = None
    seed: int = 0
    race_error: float | None = 0.01

    def __post_init__(self) -> None:
        for name, share in (("confidence", self.confidence), ("IoU", self.iou)):
            if not 0 <= share <= 1:
                raise SettingsError(f"{name} {share} is not between 0 and 1; use e.g. 0.5")
        if self.imgsz is not None and self.imgsz < 1:
            raise SettingsError(f"an input size of {self.imgsz} has no pixels; use e.g. 640")
        if self.seed < 0:
            raise SettingsError(f"seed {self.seed} is negative; use 0 or more")
        if self.race_error is not None and not 0 < self.race_error <= MOST_ERROR:
            raise SettingsError(f"a race error of {self.race_error} is not above 0 and at most {MOST_ERROR}")

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {**asdict(self), "keep_float": list(self.keep_float)}


@dataclass(frozen=True)
class TrialContext:
    """What all trials of a study share and what, with a candidate's encodings, decides its score.

    The encodings stand for calibrator, its parameters and calibration samples, which decide nothing else.
    ``test_sha256`` is over the images' contents and how the model's classes are read; empty: not known.
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
