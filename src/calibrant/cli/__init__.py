"""The command line: thin commands over calibrant.api. Heavy imports wait until a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from calibrant import __version__
from calibrant.cli.commands import calibrate, demo, evaluate, inspect, study
from calibrant.core.errors import CalibrantError

USER_ERROR = 2
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="calibrant")
def cli() -> None:
    """Choose how to quantize a trained detector, by measurement."""


for command in (study, calibrate, evaluate, inspect, demo):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of the user's are one line on stderr and exit code 2."""
    try:
        cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(USER_ERROR)
    except CalibrantError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(USER_ERROR)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
