"""The command that studies many models on many data sets, schemes and runtimes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from calibrant.cli.options import CACHE, EXECUTOR, JSON, OVERWRITE, optional_seconds, options
from calibrant.cli.output import is_terminal, print_json, progress_of, show_estimate

SOME_FAILED = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: runs/FILE's name].")
@click.option(
    "--dry-run",
    is_flag=True,
    help="List what would run, what is there already, and what that takes.",
)
@options(EXECUTOR, CACHE, OVERWRITE)
@click.option("--diagnose-budget", callback=optional_seconds, default="0", show_default=True, metavar="TIME",
              help="Time to find causes, in each run.")  # fmt: skip
@click.option("--trust", type=click.Path(path_type=Path), metavar="FILE", default=None,
              help="FILE again, where it names programs or calibrators of other packages.")  # fmt: skip
@JSON
def sweep(
    file: Path, out: Path | None, dry_run: bool, trust: Path | None, as_json: bool, **settings: Any
) -> None:
    """Study every model on every data set, scheme and runtime that the YAML FILE names.

    The same command again goes on where it was cut off. A run that fails is a row that says why, and the
    exit code 1.
    """
    from calibrant import api

    if dry_run:
        with progress_of(quiet=as_json) as progress:
            found = api.estimate_sweep(
                file, out=out, trust=trust, cache=settings["cache"],
                diagnose_budget=settings["diagnose_budget"], progress=progress,
            )  # fmt: skip
        _show_plan(api.plan_sweep(file, out=out, trust=trust), found, as_json)
        return
    with progress_of(quiet=as_json) as progress:
        result = api.sweep(file, out=out, trust=trust, progress=progress, **settings)
    if as_json:
        print_json({"out": result.out, **result.to_dict()})
    else:
        from calibrant.reports.sweep import print_sweep
        from calibrant.reports.terminal import console_for

        print_sweep(result, console_for(is_terminal(sys.stdout)))
    if result.failed:
        sys.exit(SOME_FAILED)


def _show_plan(rows: Any, found: Any, as_json: bool) -> None:
    if as_json:
        runs = [{"run": row.run, "is_done": row.recommended is not None} for row in rows]
        print_json({"runs": runs, **found.to_dict()})
        return
    from calibrant.reports.sweep import print_plan
    from calibrant.reports.terminal import console_for

    print_plan(rows, console_for(is_terminal(sys.stdout)))
    show_estimate(found, as_json)
