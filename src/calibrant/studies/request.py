"""What the user asked for, in his own names: enough to prepare the same study again, later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from calibrant.artifacts.lock import LOCK
from calibrant.artifacts.store import remove, write_bytes, write_json
from calibrant.artifacts.versions import read_versioned
from calibrant.calibrators import NamedCalibrator, known_calibrators
from calibrant.core.errors import DataError, SettingsError
from calibrant.core.from_json import built
from calibrant.core.own_metric import OwnMetric
from calibrant.core.progress import Progress
from calibrant.core.reading import is_regular, read_bytes
from calibrant.core.tasks import AUTO, Reading
from calibrant.core.types import Runtime
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.studies.plan import StudySettings
from calibrant.studies.prepare import open_model, prepare_study
from calibrant.studies.run import RESULT, Study

REQUEST = "request.json"
SCHEMA_VERSION = 2
READABLE = (1, SCHEMA_VERSION)


@dataclass(frozen=True)
class StudyRequest:
    """A study as it was asked for. ``calibrators`` are names; a function's name stands for itself.

    ``part``: which one, of a model of several parts whose others stay in float; "": the whole.
    """

    model: str
    calib: str
    data: str
    calibrators: tuple[str, ...]
    task: str = AUTO
    family: str = AUTO
    limit: int | None = None
    calib_limit: int | None = None
    skip_bad: bool = False
    settings: StudySettings = field(default_factory=StudySettings)
    part: str = ""

    def absolute(self) -> StudyRequest:
        """The same request with paths that hold from any folder."""
        family = self.family if not is_regular(Path(self.family)) else str(Path(self.family).absolute())
        return replace(
            self,
            model=str(Path(self.model).absolute()),
            calib=str(Path(self.calib).absolute()),
            data=str(Path(self.data).absolute()),
            family=family,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        content = asdict(self.absolute())
        if not self.part:
            del content["part"]
        return {
            "schema_version": SCHEMA_VERSION,
            **content,
            "calibrators": list(self.calibrators),
            "settings": self.settings.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StudyRequest:
        """The request that :meth:`to_dict` gave. Raises KeyError or TypeError for anything else."""
        settings = StudySettings.from_dict(content["settings"])
        return replace(built(cls, {**content, "settings": {}}), settings=settings)


@contextmanager
def kept_request(folder: Path, request: StudyRequest) -> Iterator[None]:
    """Keep the request in a run's folder while the study runs, and after.

    A study that fails before it wrote anything leaves the folder as it was. Raises OutputError.
    """
    path = folder / REQUEST
    before = read_bytes(path) if path.is_file() else None
    write_json(path, request.to_dict())
    try:
        yield
    except BaseException:
        is_untouched = (folder / RESULT).exists() or set(folder.iterdir()) <= {path, folder / LOCK}
        if is_untouched and before is None:
            remove(path)
        elif is_untouched and before is not None:
            write_bytes(path, before)
        raise


def read_request(folder: Path) -> StudyRequest:
    """The request of a run's folder. Raises DataError when it is missing, damaged or of another version."""
    content = read_versioned(folder / REQUEST, READABLE, "run the study again")
    try:
        return StudyRequest.from_dict(content)
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / REQUEST} is no request: {error}; run the study again") from error


def require_own_metric(request: StudyRequest, metric: OwnMetric | None) -> None:
    """Refuse a request that names a metric which the user has not said himself, and another one.

    Raises SettingsError.
    """
    wanted, said = request.settings.metric, metric.source if metric else None
    if wanted != said:
        begun = f"with --metric {wanted}; say that again" if wanted else "without --metric; leave it out"
        raise SettingsError(f"the study was begun {begun}")


def open_study(
    request: StudyRequest,
    progress: Progress,
    calibrators: Sequence[NamedCalibrator] | None = None,
    runtime: Runtime | None = None,
    *,
    is_dry: bool = False,
    metric: OwnMetric | None = None,
) -> Study:
    """Open and check everything that ``request`` names, before any work.

    ``calibrators`` stand for the request's names where functions of the user's are among them, and
    ``runtime`` for one that is open already. is_dry: it is only described, so a task that refers to the float
    model is not told all that predicts. metric: the user's own, where the request names one. Raises
    CalibrantError.
    """
    settings = request.settings
    require_own_metric(request, metric)
    chosen = calibrators if calibrators is not None else known_calibrators(request.calibrators)
    # What only describes work starts no other program.
    engine = runtime or runtime_named(REFERENCE if is_dry else settings.runtime, progress)
    opened = open_model(
        Path(request.model),
        request.task,
        request.family,
        settings.input_shape,
        settings.options,
        request.part,
    )
    test = opened.test_set(request.data, Reading(request.limit, request.skip_bad))
    calibration = opened.calibration_set(request.calib, Reading(request.calib_limit, request.skip_bad))
    return prepare_study(
        opened, calibration, test, chosen, engine, settings, progress, is_dry=is_dry, metric=metric
    )
