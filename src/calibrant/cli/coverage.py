"""The command that examines a calibration set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from calibrant.cli.checkpoints import REACH, cover_checkpoint, is_checkpoint, without_recipes
from calibrant.cli.options import (
    CALIB,
    CALIBRATORS,
    DRY_RUN,
    INPUT,
    JSON,
    PLACEMENT,
    options,
    seconds_of,
)
from calibrant.cli.output import given, is_terminal, print_json, progress_of, say, show_estimate
from calibrant.cli.task_options import TaskCommand


@click.command(cls=TaskCommand)
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--model", "model_option", type=click.Path(path_type=Path), help="The same as MODEL.")
@options(CALIB)
@click.option("--data", type=click.Path(path_type=Path),
              help="Labelled test set to compare with, and to measure on.")  # fmt: skip
@click.option("--pool", metavar="SAMPLES",
              help="Samples to choose from, as for --calib [default: those of --calib].")  # fmt: skip
@options(CALIBRATORS, INPUT, PLACEMENT, REACH, DRY_RUN, JSON)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N test samples.")
@click.option("--shuffles", type=click.IntRange(min=2), default=5, show_default=True,
              help="Random orders of the calibration set.")  # fmt: skip
@click.option("--budget", callback=seconds_of, default="5m", show_default=True, metavar="TIME",
              help="Time for measuring scores, e.g. 90s, 5m; 0 measures none.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Folder to write [default: runs/MODEL-coverage-TIME].")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the first shuffle.")  # fmt: skip
def coverage(
    as_json: bool, dry_run: bool, model: Path | None, model_option: Path | None, **settings: Any
) -> None:
    """Examine the calibration samples of MODEL: do they represent, how many are enough, which ones.

    Of a checkpoint (a folder with config.json and safetensors): which experts they reach.
    """
    from calibrant import api

    if model is not None and is_checkpoint(model):
        if dry_run:
            raise click.UsageError("--dry-run does not apply to the coverage of checkpoints; leave it out.")
        cover_checkpoint({**settings, "model": model, "model_option": model_option}, as_json)
        return
    settings = without_recipes(settings)
    given_models = [path for path in (model, model_option) if path is not None]
    if len(given_models) != 1:
        raise click.UsageError("Give one model: calibrant coverage MODEL --calib SAMPLES.")
    with progress_of(quiet=as_json) as progress:
        if dry_run:
            show_estimate(api.plan_coverage(given_models[0], progress=progress, **given(settings)), as_json)
            return
        result = api.coverage(given_models[0], progress=progress, **given(settings))
    if as_json:
        print_json({"out": result.out, **result.to_dict()})
    else:
        _show(result)


def _show(result: Any) -> None:
    """Print what was found, of a model of several files part by part."""
    from calibrant.reports.coverage import print_coverage
    from calibrant.reports.terminal import console_for
    from calibrant.studies.pipelines.coverage import PartsCoverage

    console = console_for(is_terminal(sys.stdout))
    if not isinstance(result, PartsCoverage):
        print_coverage(result, console)
        return
    for part, found in result.parts.items():
        say(f"part {part}")
        print_coverage(found, console)
    if result.selected:
        say(f"{len(result.selected)} files suffice for all parts: {Path(result.out) / 'selected.txt'}")
