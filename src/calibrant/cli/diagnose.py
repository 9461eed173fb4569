"""The command that says why candidates lose."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from calibrant.cli.options import JSON, options, seconds_of
from calibrant.cli.output import given, is_terminal, print_json, progress_of, say


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--losing", metavar="NAME", help="The calibrator to explain [default: the worst].")
@click.option("--winning", metavar="NAME", help="The one to hold it against [default: the recommended].")
@click.option("--budget", callback=seconds_of, default="5m", show_default=True, metavar="TIME",
              help="Time to spend, cheapest evidence first, e.g. 90s, 5m, 1h.")  # fmt: skip
@options(JSON)
def diagnose(as_json: bool, **settings: Any) -> None:
    """Say why candidates of the study in RUN lose: tensors, layers, images, causes and remedies."""
    from calibrant import api

    with progress_of(quiet=as_json) as progress:
        found = api.diagnose(progress=progress, **given(settings))
    if as_json:
        from calibrant.studies.diagnosis.files import diagnosis_to_dict

        print_json(diagnosis_to_dict(found))
    else:
        from calibrant.reports.diagnosis import print_diagnosis
        from calibrant.reports.terminal import console_for

        print_diagnosis(found, console_for(is_terminal(sys.stdout)))
        say(f"All of it: {settings['run'] / 'diagnosis.json'}")
