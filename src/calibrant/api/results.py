"""A study as Python and notebooks show it: a line, a table, a frame, a plot, files as paths."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import write_bytes
from calibrant.core.errors import SettingsError
from calibrant.core.printable import printable
from calibrant.reports.html.page import ranking_html
from calibrant.reports.material import load_material
from calibrant.studies.result import Recommended, StudyResult, Trial

_FRAMES = ("pandas", "polars")


class RecommendedCandidate(Recommended):
    """The candidate to deploy, with its files."""

    files: dict[str, Path]
    """By kind ("qdq", "cache", …): where the file lies."""


@dataclass(frozen=True, repr=False)
class RankedStudy(StudyResult):
    """A finished study; in a notebook it shows its ranking."""

    def __repr__(self) -> str:
        """What to deploy and where it lies, in a line."""
        name = Path(self.model.path).name
        if self.recommended is None:
            return f"<study of {name}: {self.unrecommended or 'nothing is recommended'}; {self.out}>"
        lost = self.trial(self.recommended.calibrator).loss
        words = f": it {self.metric.change(lost.value)} ({lost.interval(self.metric)})" if lost else ""
        return f"<study of {name}: use {self.recommended.calibrator}{words}; {self.out}>"

    def _repr_html_(self) -> str:
        """The ranking as a table, without scripts."""
        head = "".join(f"<th>{escape(title)}</th>" for title in self._titles())
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(printable(cell))}</td>' for cell in row)}</tr>"
            for row in self._rows()
        )
        return (
            f"<p>{escape(printable(repr(self)[1:-1]))}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def to_frame(self) -> Any:
        """One row for each candidate, as a pandas or else a polars DataFrame.

        Columns: calibrator, status, the metric by its name and the task's other figures, loss, loss_low and
        loss_high (in the metric's unit, 95 %), latency_ms, samples, same_as, recommended and tied.
        Raises SettingsError where neither package is installed.
        """
        rows = [self._record(trial) for trial in self.ranking]
        for package in _FRAMES:
            try:
                return import_module(package).DataFrame(rows)
            except ImportError:
                continue
        raise SettingsError("a frame needs pandas or polars, and neither is installed; pip install pandas")

    def plot(self) -> RankingPlot:
        """The ranking with its intervals, as the report draws it. Raises DataError where the run is gone."""
        return RankingPlot(ranking_html(load_material(Path(self.out))))

    def _titles(self) -> tuple[str, ...]:
        return ("", "calibrator", self.metric.column, "lost", "95 % interval")

    def _rows(self) -> list[tuple[str, ...]]:
        metric = self.metric
        rows: list[tuple[str, ...]] = [("", "FP32", metric.text(self.baseline.score.value), "", "")]
        for other in self.other_floats:
            value = metric.text(other.score.value) if other.score else "failed"
            lost = (metric.text(other.loss.value), other.loss.interval(metric)) if other.loss else ("", "")
            rows.append(("", other.name.upper(), value, *lost))
        for trial in self.ranking:
            is_chosen = self.recommended is not None and trial.calibrator == self.recommended.calibrator
            score = metric.text(trial.value) if trial.status == "ok" else trial.status
            lost = (metric.text(trial.loss.value), trial.loss.interval(metric)) if trial.loss else ("", "")
            rows.append(("→" if is_chosen else "", trial.calibrator, score, *lost))
        return rows

    def _record(self, trial: Trial) -> dict[str, Any]:
        loss = asdict(trial.loss) if trial.loss else dict.fromkeys(("value", "low", "high"))
        chosen = self.recommended
        return {
            "calibrator": trial.calibrator,
            "status": trial.status,
            self.metric.name: trial.score.value if trial.score else None,
            **trial.figures,
            "loss": loss["value"],
            "loss_low": loss["low"],
            "loss_high": loss["high"],
            "latency_ms": trial.latency.median_ms if trial.latency else None,
            "samples": trial.samples,
            "same_as": trial.same_as,
            "recommended": chosen is not None and trial.calibrator == chosen.calibrator,
            "tied": chosen is not None and trial.calibrator in chosen.tied,
        }


@dataclass(frozen=True, repr=False)
class RankingPlot:
    """A plot as a page of its own, which needs no network. html: the page."""

    html: str

    def __repr__(self) -> str:
        """How large it is, and what to do with it."""
        return f"<plot of {len(self.html) // 1024} kB; .save('ranking.html')>"

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its styles stay there."""
        return f'<iframe srcdoc="{escape(self.html)}" width="100%" height="640" style="border:0"></iframe>'

    def save(self, path: str | Path) -> Path:
        """Write the page. Raises OutputError."""
        write_bytes(Path(path), self.html.encode(errors="replace"))
        return Path(path)


def ranked(result: StudyResult) -> RankedStudy:
    """A study's result, with what Python shows of it."""
    content = {field.name: getattr(result, field.name) for field in fields(result)}
    if result.recommended is not None:
        content["recommended"] = _with_files(result.recommended, result)
    return RankedStudy(**content)


def _with_files(chosen: Recommended, result: StudyResult) -> RecommendedCandidate:
    named = result.trial(chosen.calibrator).files
    candidate = RecommendedCandidate(**{field.name: getattr(chosen, field.name) for field in fields(chosen)})
    files = {kind: Path(result.out) / name for kind, name in asdict(named).items() if name} if named else {}
    object.__setattr__(candidate, "files", files)  # no field: study.json names the files with their trial
    return candidate
