"""A calibration set examined for every part of a model, and the samples that suffice for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import NothingQuantizedError
from calibrant.core.progress import Progress, SayingOnce
from calibrant.core.short_repr import ShortRepr
from calibrant.studies.coverage.prepare import CoverageStudy
from calibrant.studies.coverage.result import CoverageResult
from calibrant.studies.coverage.run import run_coverage
from calibrant.studies.coverage.selection import LIST_FILE


@dataclass(frozen=True, repr=False)
class PartsCoverage(ShortRepr):
    """What was found for each part, and the files that some part wants to see, each once."""

    out: str
    parts: Mapping[str, CoverageResult]
    selected: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        found = {part: result.to_dict() for part, result in self.parts.items()}
        return {"parts": found, "selected": list(self.selected)}


def open_parts_coverage(
    parts: Mapping[str, Path], opened: Callable[[str], CoverageStudy], progress: Progress
) -> dict[str, CoverageStudy]:
    """A coverage study of each part in which something is quantized. Raises CalibrantError."""
    studies = {}
    for part in parts:
        try:
            studies[part] = opened(part)
        except NothingQuantizedError as error:
            progress.note(f"part {part} stays in float: {error}")
    return studies


def run_parts_coverage(studies: Mapping[str, CoverageStudy], out: Path, progress: Progress) -> PartsCoverage:
    """Run each part's, in a folder of its name, and write the list of samples that suffice for all."""
    notes, results = SayingOnce(progress), {}
    for part, study in studies.items():
        (out / part).mkdir(exist_ok=True)
        results[part] = run_coverage(study, out / part, notes)
    wanted = {
        sample.path: None
        for result in results.values()
        if result.selection is not None
        for sample in result.selection.chosen
    }
    if wanted:
        head = f"# {len(wanted)} files that suffice for {', '.join(results)}, by calibrant coverage"
        write_bytes(out / LIST_FILE, ("\n".join([head, *wanted]) + "\n").encode())
    return PartsCoverage(str(out), results, tuple(wanted))
