"""One sample as a model and its profile read it: drawn, so that a person sees whether that is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import ModelError, SettingsError
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.studies.prepare import open_calibration, open_detector, runnable_file
from calibrant.tasks.detection import own_classes_task


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


def read_sample(
    model: Path, sample: Path, family: str, imgsz: int | None = None, out: Path | None = None
) -> SampleReading:
    """Run a model on one sample and draw what its profile reads.

    out: the PNG file to write (default: ``MODEL.SAMPLE.png`` in the current folder).
    Raises CalibrantError for a model, sample or file that cannot be used.
    """
    picture = out or Path(f"{model.stem}.{sample.stem}.png")
    _require_new(picture, model, sample)
    detector = open_detector(model, family, imgsz)
    task = own_classes_task(detector.recognition, detector.signature)
    (shown, *_) = open_calibration(str(sample), 1, skip_bad=False).samples
    with runnable_file(detector.model) as file, runtime_named(REFERENCE).open(file) as session:
        raw = task.drive(session, shown)
        doubt = None
        try:
            task.check(raw, shown)
        except ModelError as error:
            doubt = str(error)
        summary, content = task.picture(raw, shown)
    write_bytes(picture, content)
    return SampleReading(str(sample), str(picture), summary, doubt)


def _require_new(picture: Path, *inputs: Path) -> None:
    if picture.suffix.lower() != ".png":
        raise SettingsError(f"'{picture}' is no PNG file; give a name as reading.png")
    if any(picture.absolute() == path.absolute() for path in inputs):
        raise SettingsError(f"'{picture}' would be written over; give another name")
