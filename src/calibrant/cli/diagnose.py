"""The command that explains what a candidate loses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from calibrant.cli.checkpoints import (
    ONE_CANDIDATE,
    diagnose_checkpoint,
    diagnosed_in,
    is_checkpoint,
    is_checkpoint_study,
)
from calibrant.cli.options import JSON, MAX_MEMORY, METRIC, options, seconds_of
from calibrant.cli.output import given, is_terminal, print_json, progress_of, say


@click.command()
@click.argument("run", metavar="RUN|MODEL", type=click.Path(path_type=Path))
@click.option("--candidate", "--losing", "losing", metavar="NAME",
              help="The calibrator to explain [default: the recommended one, against FP32].")  # fmt: skip
@click.option("--against", "--winning", "winning", metavar="NAME",
              help="The calibrator to compare it with [default: the recommended one].")  # fmt: skip
@click.option("--budget", callback=seconds_of, default="5m", show_default=True, metavar="TIME",
              help="Time to spend, cheapest evidence first, e.g. 90s, 5m, 1h.")  # fmt: skip
@click.option("--calib", default=None, help="For checkpoints: calibration texts.")
@click.option("--data", type=click.Path(path_type=Path), help="For checkpoints: test texts.")
@click.option("--calibrators", default=None, metavar="NAME", help="For checkpoints: of fixed ranges.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N",
              help="For checkpoints: only the first N test documents.")  # fmt: skip
@click.option("--calib-limit", type=click.IntRange(min=1), metavar="N",
              help="For checkpoints: only the first N calibration documents.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="For checkpoints: folder to write.")
@click.option("--overwrite", is_flag=True, help="For checkpoints: replace another finished run in --out.")
@options(METRIC, ONE_CANDIDATE, MAX_MEMORY, JSON)
def diagnose(as_json: bool, **settings: Any) -> None:
    """Explain what a candidate of the study in RUN loses: tensors, layers, samples, causes and remedies.

    Of a checkpoint (MODEL: a folder with config.json and safetensors; or the RUN of its study): blocks,
    layers, experts and channels, with remedies measured.
    """
    from calibrant import api

    run, losing = settings["run"], settings["losing"]
    if is_checkpoint(run) or is_checkpoint_study(run):
        named = {"model": run} if is_checkpoint(run) else diagnosed_in(run, losing)
        others = {name: value for name, value in settings.items() if name not in ("run", "losing")}
        diagnose_checkpoint({**others, **named}, as_json)
        return
    settings = {name: settings[name] for name in ("run", "losing", "winning", "budget", "metric")}
    with progress_of(quiet=as_json) as progress:
        found = api.diagnose(progress=progress, **given(settings))
    if as_json:
        from calibrant.studies.diagnosis.files import diagnosis_to_dict

        print_json(diagnosis_to_dict(found))
    else:
        from calibrant.core.progress import Silent
        from calibrant.reports.diagnosis import print_diagnosis
        from calibrant.reports.terminal import console_for
        from calibrant.studies.pipelines.diagnosing import diagnosed_part

        print_diagnosis(found, console_for(is_terminal(sys.stdout)))
        folder, _, _ = diagnosed_part(run, losing, settings["winning"], Silent())
        say(f"All of it: {folder / 'diagnosis.json'}")
