"""The command that holds runs of one model beside each other."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from calibrant.cli.options import JSON
from calibrant.cli.output import print_json, progress_of, say

GATE = 3


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN_A RUN_B [...]")
@click.option(
    "--fail-on-loss",
    "--fail-on-drop",
    "fail_on_loss",
    type=click.FloatRange(min=0),
    metavar="AMOUNT",
    help="Exit with code 3 when a model loses more than this, in the metric's unit, or no longer runs.",
)
@click.option(
    "--joint",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Widen the intervals so that N differences, these and others that are read with them, hold all at "
    "once at 95 % (Bonferroni) [default: each by itself].",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@JSON
def compare(runs: tuple[Path, ...], fail_on_loss: float | None, joint: int, seed: int, as_json: bool) -> None:
    """Compare studies of one model on other runtimes or versions with the first one."""
    from calibrant import api

    with progress_of(quiet=as_json) as progress:
        found = api.compare(runs, seed=seed, joint=joint, progress=progress)
    if as_json:
        print_json(found.to_dict())
    else:
        from calibrant.reports.comparison import print_comparison
        from calibrant.reports.terminal import console_for

        print_comparison(found, console_for(sys.stdout.isatty()))
    failures = found.fails(fail_on_loss) if fail_on_loss is not None else ()
    for change in failures:
        words = change.failure or (
            f"{change.loss:.{found.metric.decimals + 1}f} {found.metric.unit} lost, "
            f"more than {fail_on_loss:g}"
        )
        say(f"{change.name} in {change.run}: {words}", err=True)
    if failures:
        sys.exit(GATE)
