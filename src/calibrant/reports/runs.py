"""Recorded runs on the terminal: lists, one run in full, the best of each model, and a model's history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from calibrant.artifacts.runs_store.records import RunRecord, TrialRecord
from calibrant.core.metrics import MAXIMIZE, MINIMIZE, Metric
from calibrant.core.printable import printable
from calibrant.core.tasks import Words
from calibrant.reports.tables import plain_table
from calibrant.studies.recording import STUDY
from calibrant.studies.run_folders import HERE, RecordedRun
from calibrant.studies.trial_evaluator import OK, STOPPED
from calibrant.tasks.registry import presented

_ID_DIGITS = 8
_HASH_DIGITS = 8
_WIDE = 110  # columns of a console on which a run fits into one line


def print_runs(found: Sequence[RecordedRun], console: Console) -> None:
    """What each run recommends, its score, its loss and its folder; two lines each on a narrow console."""
    if not found:
        console.print("No runs are recorded; calibrant study records its own, calibrant runs add others.")
        return
    if console.width < _WIDE:
        for recorded in found:
            _print_in_two_lines(recorded, console)
        return
    table = _table("id", "date", "model", "runtime", "recommended", right=_FIGURES, last=("folder",))
    for recorded in found:
        run = recorded.run
        table.add_row(
            run.id[:_ID_DIGITS], _date(run.created), _text(_stem(run)), _text(runtime_of(run)),
            _text(_recommended(run)), *_figures(run.trial(run.recommended), run), _text(_folder(recorded)),
        )  # fmt: skip
    console.print(table)


def _print_in_two_lines(recorded: RecordedRun, console: Console) -> None:
    run = recorded.run
    value, lost, interval = _figures(run.trial(run.recommended), run)
    first = (run.id[:_ID_DIGITS], _date(run.created), printable(_stem(run)), printable(runtime_of(run)))
    figures = f"{value}, lost {lost} ({interval})" if interval else value
    second = (printable(_recommended(run)), figures, printable(_folder(recorded)))
    console.print(Text("  ".join(first)))
    console.print(Text(" " * (_ID_DIGITS + 2) + "  ".join(filter(None, second)), style="dim"))


def _folder(recorded: RecordedRun) -> str:
    """Where a run lies, from here where it is below, and what became of it."""
    path, here = Path(recorded.run.folder), Path.cwd()
    place = path.relative_to(here) if path.is_relative_to(here) else path
    return str(place) if recorded.folder_is == HERE else f"{place} ({recorded.folder_is})"


def print_best(found: Sequence[RecordedRun], console: Console) -> None:
    """The best calibrator known of each model, scheme and runtime, and how often each of them wins."""
    if not found:
        console.print("No run that recommends a calibrator is recorded.")
        return
    table = _table(
        "model", "scheme", "runtime", "best", right=(*_FIGURES, "samples"), last=("tied with it", "id")
    )
    for recorded in found:
        run = recorded.run
        tied = [trial.name for trial in run.trials if trial.is_tied and trial.name != run.recommended]
        table.add_row(
            _text(_stem(run)), _text(run.scheme), _text(runtime_of(run)), _text(_recommended(run)),
            *_figures(run.trial(run.recommended), run), str(run.test_samples),
            _text(_counted(tied)), run.id[:_ID_DIGITS],
        )  # fmt: skip
    console.print(table)


def print_history(found: Sequence[RecordedRun], calibrator: str | None, console: Console) -> None:
    """A model's runs, oldest first. calibrator: to follow; None: what each run recommends."""
    table = _table(
        "date",
        "model",
        "runtime",
        "scheme",
        "test set",
        "calibrator",
        right=("FP32", *_FIGURES),
        last=("id",),
    )
    for recorded in found:
        run = recorded.run
        trial = run.trial(calibrator or run.recommended)
        table.add_row(
            _date(run.created), run.model_sha256[:_HASH_DIGITS], _text(runtime_of(run)), _text(run.scheme),
            f"{run.test_samples} {run.test_ids_sha256[:4]}".strip(), _text(trial.name if trial else "-"),
            metric_of(run).text(run.float_value), *_figures(trial, run), run.id[:_ID_DIGITS],
        )  # fmt: skip
    console.print(table)
    if len({(run.run.model_sha256, run.run.test_ids_sha256) for run in found}) < len(found):
        console.print("Whether two of them really differ: calibrant compare RUN_A RUN_B")


def print_run(recorded: RecordedRun, console: Console) -> None:
    """All that the store knows of one run."""
    run = recorded.run
    for title, value in _facts(recorded).items():
        console.print(Text(f"{title:<13}", style="dim").append(printable(value), style="default"))
    table = _table("", "model" if run.kind != STUDY else "calibrator", right=_FIGURES, last=("",))
    table.add_row("", "FP32", metric_of(run).text(run.float_value), "", "", "")
    for trial in run.trials:
        mark = "*" if trial.name == run.recommended else ""
        table.add_row(mark, _text(trial.name), *_figures(trial, run), _text(_remark(trial)))
    console.print(table)


_FIGURES = ("score", "lost", "95 % interval")
_FOLDED = ("model", "runtime", "tied with it", "folder", "")


def runtime_of(run: RunRecord) -> str:
    """The runtime with its version, and the options that it was asked for."""
    name, _, options = run.runtime.partition(":")
    return " ".join(filter(None, (name, run.runtime_version, options)))


def _facts(recorded: RecordedRun) -> Mapping[str, str]:
    run = recorded.run
    gone = "" if recorded.folder_is == HERE else f" ({recorded.folder_is})"
    return {
        "id": run.id,
        "run": f"{run.kind} of {_date(run.created)} with calibrant {run.environment.get('calibrant', '?')}",
        "model": f"{run.model_path}, {run.task} as {run.family}",
        "model sha256": run.model_sha256,
        "scheme": run.scheme,
        "runtime": runtime_of(run) + (f" on {run.device}" if run.device else ""),
        "test set": f"{run.test_samples} {_words(run).samples} of {run.dataset}",
        "calibration": f"{run.calibration_samples} {_words(run).samples}",
        "folder": f"{run.folder}{gone}",
        "machine": f"{run.host}, {run.environment.get('cpu', '?')}",
    }


def metric_of(run: RunRecord) -> Metric:
    """What a run measured, as far as it is told."""
    direction = MINIMIZE if run.direction == MINIMIZE else MAXIMIZE
    return Metric(run.metric, unit=run.unit, direction=direction, decimals=run.decimals)


def _figures(trial: TrialRecord | None, run: RunRecord) -> tuple[str, str, str]:
    """Value, loss and interval; only the loss of a model that was stopped, as it saw fewer samples."""
    if trial is None:
        return "", "", ""
    metric = metric_of(run)
    value = "" if trial.value is None or trial.status != OK else metric.text(trial.value)
    lost = "" if trial.loss is None else metric.text(trial.loss)
    if trial.loss_low is None or trial.loss_high is None:
        return value, lost, ""
    return value, lost, f"{metric.text(trial.loss_low)} to {metric.text(trial.loss_high)}"


def _words(run: RunRecord) -> Words:
    """What samples are called; of a task that is not installed: samples."""
    return presented(run.task).words


def _remark(trial: TrialRecord) -> str:
    if trial.same_as:
        return f"same as {trial.same_as}"
    if trial.status == STOPPED:
        return f"worse after {trial.samples} samples"
    return "" if trial.status == OK else f"failed: {trial.reason}"


def _recommended(run: RunRecord) -> str:
    if run.recommended is None:
        return "-"
    return run.recommended if run.kind == STUDY else f"{run.kind}: {run.recommended}"


def _stem(run: RunRecord) -> str:
    return run.model.removesuffix(".onnx")


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} others" if len(names) > 1 else "".join(names)


def _date(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _text(words: str) -> Text:
    """Names are from files and stay names, whatever they look like."""
    return Text(printable(words))


def _table(*left: str, right: Sequence[str], last: Sequence[str]) -> Table:
    table = plain_table()
    for title in (*left, *right, *last):
        is_figure = title in right
        table.add_column(
            title,
            justify="right" if is_figure else "left",
            overflow="fold",
            no_wrap=title not in _FOLDED,
        )
    return table
