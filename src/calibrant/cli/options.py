"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from calibrant.cli.exported import TRUST
from calibrant.cli.task_options import INPUT_SHAPE, TASK
from calibrant.core.durations import duration_in_seconds

Command: TypeAlias = Callable[..., Any]


def options(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several arguments and options as one decorator, shown in this order."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def seconds_of(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """A span of time such as ``90s``, ``5m`` or ``1h`` in seconds; a bare number is seconds."""
    seconds = duration_in_seconds(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is no span of time; write e.g. 90s, 5m or 1h")
    return seconds


def optional_seconds(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """A span of time in seconds, where one is given."""
    return None if text is None else seconds_of(context, option, text)


MODEL = options(click.argument("model", type=click.Path(path_type=Path)), TRUST)
JSON = click.option("--json", "as_json", is_flag=True, help="Print only JSON.")
DATA = click.option(
    "--data", required=True, type=click.Path(path_type=Path),
    help="Labelled test set, in a form that the model's task reads (calibrant tasks).",
)  # fmt: skip
CALIB = click.option(
    "--calib", required=True, help="Calibration samples: a folder, glob, list file, .npy or .npz."
)
CALIB_OR_TRAINING = click.option(
    "--calib", default=None, help="Calibration samples: a folder, glob, list file, .npy or .npz "
    "[default: the first 512 that the data set was trained on, where it says].",
)  # fmt: skip
CALIBRATORS = click.option(
    "--calibrators", default=None, metavar="LIST",
    help="Comma-separated, e.g. minmax,entropy2,percentile:99.99|99.9 (default: all).",
)  # fmt: skip
FAMILY = click.option(
    "--family", default="auto", show_default=True, metavar="NAME",
    help="Family within the task, auto, or a YAML file that describes it.",
)  # fmt: skip
INPUT = options(
    TASK,
    FAMILY,
    INPUT_SHAPE,
    click.option("--skip-bad", is_flag=True, help="Leave out samples that cannot be read."),
)  # fmt: skip
METRIC = click.option(
    "--metric", metavar="MODULE:FUNCTION",
    help="Score by a metric of your own (docs/own-metric.md) [default: the task's].",
)  # fmt: skip
SCORING = options(
    METRIC,
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N test samples."),
    click.option("--runtime", default="onnxruntime", show_default=True, help="What runs the models."),
)  # fmt: skip
PLACEMENT = options(
    click.option("--scheme", default="tensorrt", show_default=True, help="The target's quantization rules."),
    click.option("--exclude", "--keep-float", "exclude", multiple=True, metavar="NODE",
                 help="Leave nodes in float, by name or pattern; repeatable."),
    click.option("--keep-head-float", is_flag=True, help="Leave the head's last convolutions in float."),
    click.option("--calib-limit", type=click.IntRange(min=1), metavar="N",
                 help="Only the first N calibration samples."),
)  # fmt: skip
DEPLOY = click.option(
    "--deploy", type=click.Choice(["qdq", "cache"]), default=None,
    help="A Q/DQ model, or the float model with a cache: scheme tensorrt-implicit [default: by the scheme].",
)  # fmt: skip
RACE = options(
    click.option("--race/--no-race", default=True, show_default=True,
                 help="Stop candidates that are significantly worse, or run all on every sample."),
    click.option("--race-error", type=click.FloatRange(0, 0.1, min_open=True), default=0.01,
                 show_default=True, metavar="SHARE",
                 help="How often, at most, racing may drop the eventual winner."),
)  # fmt: skip
MAX_MEMORY = click.option(
    "--max-memory", metavar="SIZE",
    help="Memory to stay within, e.g. 4GB or 50% [default: 80% of what is allowed].",
)  # fmt: skip
EXECUTOR = click.option(
    "--executor", metavar="NAME",
    help="Who runs the models: local[:N] processes, or ray[:ADDRESS] [default: this process].",
)  # fmt: skip
MLFLOW = click.option(
    "--mlflow", metavar="URI", help="Log to this MLflow too: http://HOST:PORT or sqlite:///FILE."
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True,
    help="Say what would be done, and the time, memory and disk it takes; do nothing.",
)  # fmt: skip
OVERWRITE = click.option(
    "--overwrite", is_flag=True, help="Replace another finished run in the folder, once the new one is there."
)
CACHE = click.option(
    "--cache/--no-cache", default=True, show_default=True,
    help="Keep results between runs, in CALIBRANT_CACHE or the user's cache folder.",
)  # fmt: skip
