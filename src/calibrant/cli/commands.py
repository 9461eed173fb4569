"""The main commands: study, calibrate, evaluate, inspect."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from calibrant.cli.checkpoints import (
    RECIPES,
    inspect_checkpoint,
    is_checkpoint,
    show_language_demo,
    study_checkpoint,
    without_recipes,
)
from calibrant.cli.optimize import show_optimization
from calibrant.cli.options import (
    CACHE,
    CALIB,
    CALIB_OR_TRAINING,
    CALIBRATORS,
    DATA,
    DEPLOY,
    DRY_RUN,
    EXECUTOR,
    FAMILY,
    INPUT,
    JSON,
    MAX_MEMORY,
    METRIC,
    MLFLOW,
    MODEL,
    OVERWRITE,
    PLACEMENT,
    RACE,
    SCORING,
    optional_seconds,
    options,
)
from calibrant.cli.output import given, is_terminal, print_json, progress_of, say, show_estimate
from calibrant.cli.task_options import INPUT_SHAPE, TASK, TaskCommand
from calibrant.demo import FIRST, KINDS, LANGUAGE

ALL_FAILED, NOTHING_TO_RECOMMEND = 1, 4


@click.command(cls=TaskCommand)
@options(MODEL, CALIB_OR_TRAINING, DATA, CALIBRATORS, RECIPES, INPUT, SCORING, PLACEMENT, JSON)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: runs/MODEL-TIME].")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the bootstrap."
)
@click.option(
    "--prefer",
    type=click.Choice(["simplest", "best"]),
    default="simplest",
    show_default=True,
    help="Of candidates that are indistinguishable from the best: the simplest (in the order of minmax, "
    "percentile, mse, legacy, entropy2, entropy) or the one that scores best.",
)
@click.option(
    "--max-loss",
    "--max-drop",
    "max_loss",
    type=click.FloatRange(min=0),
    metavar="AMOUNT",
    help="Recommend nothing that loses more, in the metric's unit (of checkpoints: KL); else exit code 4.",
)
@options(RACE, CACHE, EXECUTOR, MAX_MEMORY, MLFLOW, OVERWRITE, DRY_RUN)
@options(DEPLOY)
@click.option("--diagnose-budget", callback=optional_seconds, metavar="TIME",
              help="Time to find causes; 0: none [default: a fifth of the study's].")  # fmt: skip
def study(as_json: bool, dry_run: bool, **settings: Any) -> None:
    """Measure every calibrator on MODEL and recommend one."""
    if is_checkpoint(settings["model"]):
        study_checkpoint(settings | {"dry_run": dry_run}, as_json)
        return
    from calibrant import api

    with progress_of(quiet=as_json) as progress:
        if dry_run:
            plan = api.plan_study(progress=progress, **given(without_recipes(settings)))
            show_estimate(plan, as_json)
            return
        result = api.study(progress=progress, **given(without_recipes(settings)))
    _show_study(result, as_json)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@options(CACHE, EXECUTOR, MAX_MEMORY, MLFLOW, JSON)
@click.option(
    "--runtime", default=None, help="The runtime that it was begun with, where that names a program."
)
@options(METRIC)
@click.option("--calibrators", default=None, metavar="LIST",
              help="Those of other packages that it was begun with.")  # fmt: skip
def resume(as_json: bool, run: Path, **settings: Any) -> None:
    """Go on with a study or an optimization that was cut off, in its folder RUN."""
    from calibrant import api
    from calibrant.studies.optimization.result import OptimizationResult

    with progress_of(quiet=as_json) as progress:
        result = api.resume(run, progress=progress, **given(settings))
    if isinstance(result, OptimizationResult):
        show_optimization(result, as_json)
    else:
        _show_study(result, as_json)


@click.command(cls=TaskCommand)
@options(MODEL, CALIB, CALIBRATORS, INPUT, PLACEMENT, OVERWRITE, JSON)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@options(DEPLOY)
@click.option("--tensors", type=click.Choice(["quantized", "all"]), default="quantized", show_default=True,
              help="Which tensors the caches hold.")  # fmt: skip
@click.option("--runtime", default="onnxruntime", show_default=True, help="What runs the model.")
def calibrate(as_json: bool, **settings: Any) -> None:
    """Write a Q/DQ model, and a TensorRT cache, for every calibrator; needs no labels."""
    from calibrant import api
    from calibrant.tasks.registry import presented

    with progress_of(quiet=as_json) as progress:
        result = api.calibrate(progress=progress, **given(settings))
    if as_json:
        print_json(result.to_dict())
    else:
        tensors = f"{result.tensors} tensor{'' if result.tensors == 1 else 's'}"
        say(f"{presented(result.task).words.counted(result.samples)}, {tensors}")
        for made in result.candidates:
            files = ", ".join(file for file in (made.cache, made.qdq) if file)
            words = f"failed: {made.failure}" if made.failure else files
            say(f"{made.calibrator}: {words}")
    _require_one(candidate.failure is None for candidate in result.candidates)


@click.command(cls=TaskCommand)
@options(MODEL, DATA, INPUT, SCORING, JSON)
def evaluate(as_json: bool, **settings: Any) -> None:
    """Print the score of any float or quantized model."""
    from calibrant import api

    with progress_of(quiet=as_json) as progress:
        result = api.evaluate(progress=progress, **given(settings))
    if as_json:
        print_json(result.to_dict())
    else:
        _show_evaluation(result)
    _require_one([result.score.value is not None])


def _show_evaluation(result: Any) -> None:
    from calibrant.tasks.registry import presented

    counted = presented(result.task).words.counted(result.samples)
    say(f"{result.model} as {result.family}, {counted}, {result.seconds:.1f} s")
    for name, value in {result.score.metric: result.score.value, **result.figures}.items():
        say(f"{name:<12} {'-' if value is None else f'{value:.{result.metric.decimals + 1}f}'}")
    if result.latency is not None:
        say(f"{'latency':<12} {result.latency.median_ms:.2f} ms")
    if result.score.value is None:
        say(f"{result.metric.words} is undefined: the test set has no label to find", err=True)


@click.command(cls=TaskCommand)
@options(MODEL, TASK, FAMILY, INPUT_SHAPE, JSON)
@click.option("--scheme", default="tensorrt", show_default=True, help="The target's quantization rules.")
@click.option("--sample", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw what is read from this sample, to see whether it is right.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="PNG",
              help="Where to draw it [default: MODEL.SAMPLE.png].")  # fmt: skip
def inspect(as_json: bool, **settings: Any) -> None:
    """Show a model's inputs and outputs, its task and family, its cost, and what would be quantized."""
    from calibrant import api

    result: Any
    if is_checkpoint(settings["model"]):
        result = inspect_checkpoint(settings)
    else:
        result = api.inspect(**given(settings))
    if as_json:
        print_json(result.to_dict())
    else:
        say("\n".join(result.lines()))


@click.command()
@options(CALIBRATORS, OVERWRITE, CACHE, JSON)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: runs/demo-TIME].")
@click.option("--samples", "--images", "test_samples", type=click.IntRange(min=2),
              help="How many labelled samples to draw [default: what takes a minute or two].")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the drawing.")
@click.argument("kind", default=FIRST, type=click.Choice(list(KINDS)))
def demo(as_json: bool, out: Path | None, **settings: Any) -> None:
    """Rank the calibrators on a model that a package carries and on samples drawn here."""
    from calibrant.api import new_run_folder
    from calibrant.demo.run import run_demo

    if settings["kind"] == LANGUAGE:
        show_language_demo(out or new_run_folder("demo"), settings, as_json)
        return
    with progress_of(quiet=as_json) as progress:
        result = run_demo(out or new_run_folder("demo"), progress=progress, **given(settings))
    _show_study(result, as_json)


def _show_study(result: Any, as_json: bool) -> None:
    if as_json:
        print_json({"out": result.out, **result.to_dict()})
    else:
        from calibrant.reports.terminal import console_for, print_study

        print_study(result, console_for(is_terminal(sys.stdout)))
    _require_one(trial.status == "ok" for trial in result.trials)
    if result.unrecommended:
        sys.exit(NOTHING_TO_RECOMMEND)


def _require_one(successes: Iterable[bool]) -> None:
    """End with an exit code of its own when every candidate failed."""
    if not any(successes):
        sys.exit(ALL_FAILED)
