"""Commands about the runs that were recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from calibrant.cli.options import JSON, options
from calibrant.cli.output import is_terminal, print_json, say
from calibrant.core.printable import printable

_ONE_LINE = 1000

RUN_ID = click.argument("run", metavar="ID")
OF_MODEL = click.option("--model", metavar="MODEL", help="Only of this model: file name or start of hash.")
ON_RUNTIME = click.option("--runtime", metavar="NAME", help="Only on this runtime.")


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """Look up recorded runs: list, show, best, history; and keep them: add, rm.

    Studies and optimizations record themselves in a store: a file in the user's data folder, or what
    CALIBRANT_STORE names: another file, a PostgreSQL URL, or "off".
    """
    if context.invoked_subcommand is None:
        context.invoke(list_)


@runs.command("list")
@options(OF_MODEL, ON_RUNTIME, JSON)
@click.option("--kind", type=click.Choice(["study", "optimization"]), help="Only of this kind.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
              help="Only the newest N.")  # fmt: skip
def list_(as_json: bool, **wanted: Any) -> None:
    """List recorded runs, newest first."""
    from calibrant import api

    found = api.list_runs(**wanted)
    if as_json:
        _print_json(found)
    else:
        from calibrant.reports.runs import print_runs

        print_runs(found, _console())


@runs.command()
@options(RUN_ID, JSON)
def show(run: str, as_json: bool) -> None:
    """Show the run whose id begins with ID."""
    from calibrant import api

    found = api.show_run(run)
    if as_json:
        print_json(found.to_dict())
    else:
        from calibrant.reports.runs import print_run

        print_run(found, _console())


@runs.command()
@options(OF_MODEL, ON_RUNTIME, JSON)
def best(as_json: bool, **wanted: Any) -> None:
    """Show the best calibrator known of each model, scheme and runtime.

    It is the one that the run on the most test images recommends.
    """
    from calibrant import api

    found = api.best_runs(**wanted)
    if as_json:
        _print_json(found)
    else:
        from calibrant.reports.runs import print_best

        print_best(found, _console())


@runs.command()
@click.argument("model")
@options(ON_RUNTIME, JSON)
@click.option("--calibrator", metavar="NAME", help="Follow this one [default: what each run recommends].")
def history(model: str, runtime: str | None, calibrator: str | None, as_json: bool) -> None:
    """Show the studies of MODEL over time and over versions of the runtime.

    MODEL is a file name, its stem, or the start of its hash.
    """
    from calibrant import api

    found = api.run_history(model, runtime=runtime)
    if as_json:
        _print_json(found)
    else:
        from calibrant.reports.runs import print_history

        print_history(found, calibrator, _console())


@runs.command()
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@JSON
def add(folders: tuple[Path, ...], as_json: bool) -> None:
    """Record the runs that these folders hold, once more or for the first time."""
    from calibrant import api

    found = api.add_runs(folders)
    if as_json:
        _print_json(found)
    else:
        for recorded in found:
            say(f"recorded {recorded.run.id[:8]}: {printable(recorded.run.folder)}")


@runs.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--files", is_flag=True, help="Delete the run's folder too, if nothing but the run is in it.")
def rm(ids: tuple[str, ...], files: bool) -> None:
    """Forget runs, by the first digits of their ids."""
    from calibrant import api

    for recorded in api.remove_runs(ids, files=files):
        what = "and deleted" if files and recorded.folder_is == "here" else "but left"
        say(f"forgot {recorded.run.id[:8]} {what} {printable(recorded.run.folder)}")


def _print_json(found: Any) -> None:
    print_json({"runs": [recorded.to_dict() for recorded in found]})


def _console() -> Any:
    from calibrant.reports.terminal import console_for

    # In a pipe each run stays on a line of its own, whatever its folder.
    return console_for(is_terminal(sys.stdout), plain_width=_ONE_LINE)
