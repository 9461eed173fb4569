"""The command that goes on from the best calibrator to the best model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from calibrant.cli.checkpoints import BUDGETS, is_checkpoint, optimize_checkpoint, without_recipes
from calibrant.cli.options import (
    CALIBRATORS,
    DRY_RUN,
    INPUT,
    JSON,
    MLFLOW,
    OVERWRITE,
    PLACEMENT,
    SCORING,
    options,
)
from calibrant.cli.output import given, is_terminal, print_json, progress_of, say, show_estimate
from calibrant.cli.task_options import TaskCommand

NOTHING_TO_RECOMMEND = 4


@click.command(cls=TaskCommand)
@click.argument("model", metavar="MODEL|RUN", type=click.Path(path_type=Path))
@click.option("--calib", default=None, help="Calibration samples: a folder, glob, list file, .npy or .npz.")
@click.option("--data", default=None, type=click.Path(path_type=Path),
              help="Labelled test set, in a form that the model's task reads (calibrant tasks).")  # fmt: skip
@click.option("--max-loss", "--max-drop", "max_loss", type=click.FloatRange(min=0), metavar="AMOUNT",
              help="What may be lost, in the metric's unit [default: a hundredth of its scale]; "
              "exit code 4 where it is missed.")  # fmt: skip
@click.option("--budget", default="10m", show_default=True, metavar="TIME",
              help="Time to search, e.g. 90s, 10m, 1h. Ctrl-C ends it with the best so far.")  # fmt: skip
@click.option("--min-int8", "least_int8", type=click.FloatRange(0, 100), default=95.0, show_default=True,
              metavar="PERCENT", help="Least share of the multiply-accumulates in INT8.")  # fmt: skip
@click.option("--fold-only", is_flag=True,
              help="Add nothing between layers: only what folds into weights and biases.")  # fmt: skip
@click.option("--recipe", type=click.Path(path_type=Path), default=None,
              help="Follow this recipe instead of searching; needs no labels.")  # fmt: skip
@options(BUDGETS, CALIBRATORS, INPUT, SCORING, PLACEMENT, MLFLOW, OVERWRITE, DRY_RUN, JSON)
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder to write [default: runs/MODEL-optimized-TIME].")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the split and of the search.")  # fmt: skip
def optimize(as_json: bool, dry_run: bool, recipe: Path | None, **settings: Any) -> None:
    """Find the best quantized MODEL: mend it in float, mix ranges, spare few layers.

    With the folder of a study (RUN) its model, data and settings are taken.
    """
    from calibrant import api

    if dry_run and recipe is not None:
        raise click.UsageError("--dry-run says what a search takes; with --recipe there is none.")
    if is_checkpoint(settings["model"]):
        optimize_checkpoint(settings | {"recipe": recipe, "dry_run": dry_run}, as_json)
        return
    wanted = given(without_recipes(settings))
    with progress_of(quiet=as_json) as progress:
        if dry_run and recipe is None:
            show_estimate(api.plan_optimization(progress=progress, **wanted), as_json)
            return
        if recipe is not None:
            _follow(recipe, wanted, as_json, progress)
            return
        result = api.optimize(progress=progress, **wanted)
    show_optimization(result, as_json)
    if wanted.get("max_loss") is not None and not result.is_met:
        sys.exit(NOTHING_TO_RECOMMEND)


def show_optimization(result: Any, as_json: bool) -> None:
    """Print what an optimization found."""
    if as_json:
        print_json(result.to_dict())
    else:
        from calibrant.reports.optimization import print_optimization
        from calibrant.reports.terminal import console_for

        print_optimization(result, console_for(is_terminal(sys.stdout)))


def _follow(recipe: Path, settings: dict[str, Any], as_json: bool, progress: Any) -> None:
    from calibrant import api
    from calibrant.tasks.registry import option_names

    if not (settings.get("calib") and settings.get("out")):
        raise click.UsageError("--recipe needs --calib and --out.")
    names = (
        "model",
        "calib",
        "out",
        "task",
        "family",
        "calib_limit",
        "skip_bad",
        "calibrators",
        *option_names(),
    )
    made = api.apply_recipe(
        recipe=recipe,
        progress=progress,
        **{name: settings[name] for name in names if name in settings},
    )
    if as_json:
        print_json(made.to_dict())
    else:
        files = ", ".join(name for name in (made.files.qdq, made.files.encodings) if name)
        say(f"{made.explanation}\n{files} in {made.out}")
