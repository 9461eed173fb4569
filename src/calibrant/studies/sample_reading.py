"""One sample as a model and its profile read it: drawn, so that a person sees whether that is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.tasks import Reading
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.sessions import drive
from calibrant.studies.prepare import OpenedModel, runnable_file


@dataclass(frozen=True)
class SampleReading:
    """What was read from one sample.

    summary: how much was found, in a line. doubt: what in the outputs speaks against the family (None:
    nothing).
    """

    sample: str
    picture: str
    summary: str
    doubt: str | None

    def lines(self) -> list[str]:
        """For people."""
        doubts = [f"doubt   {self.doubt}"] if self.doubt else []
        return [f"sample  {self.sample}: {self.summary}; drawn in {self.picture}", *doubts]


def read_sample(opened: OpenedModel, sample: Path, out: Path | None = None) -> SampleReading:
    """Run a model on one sample and draw what its task reads.

    out: the PNG file to write (default: ``MODEL.SAMPLE.png`` in the current folder).
    Raises CalibrantError for a sample or file that cannot be used, and where the task has no picture.
    """
    model = opened.model.path
    picture = out or Path(f"{model.stem}.{sample.stem}.png")
    _require_new(picture, model, sample)
    task = opened.task()
    (shown, *_) = opened.calibration_set(str(sample), Reading(1)).samples
    with runnable_file(opened.model) as file, runtime_named(REFERENCE).open(file) as session:
        raw = drive(task, session, shown)
        doubt = None
        try:
            task.check(raw, shown)
        except ModelError as error:
            doubt = str(error)
        found = task.picture(raw, shown)
    if found is None:
        raise SettingsError(f"task {task.name} draws no picture of a sample; leave --sample out")
    summary, content = found
    write_bytes(picture, content)
    return SampleReading(str(sample), str(picture), summary, doubt)


def _require_new(picture: Path, *inputs: Path) -> None:
    if picture.suffix.lower() != ".png":
        raise SettingsError(f"'{picture}' is no PNG file; give a name as reading.png")
    if any(picture.absolute() == path.absolute() for path in inputs):
        raise SettingsError(f"'{picture}' would be written over; give another name")
