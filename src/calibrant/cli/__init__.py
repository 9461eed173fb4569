"""The command line: thin commands over calibrant.api. Heavy imports wait until a command runs."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence

import click

from calibrant import __version__
from calibrant.cli.caches import cache, migrate
from calibrant.cli.commands import calibrate, demo, evaluate, inspect, resume, study
from calibrant.cli.compare import compare
from calibrant.cli.coverage import coverage
from calibrant.cli.deploy import deploy
from calibrant.cli.diagnose import diagnose
from calibrant.cli.doctor import completion, doctor
from calibrant.cli.optimize import optimize
from calibrant.cli.output import say
from calibrant.cli.report import report
from calibrant.cli.runs import runs
from calibrant.cli.skill import skill
from calibrant.cli.sweep import sweep
from calibrant.cli.task_options import tasks
from calibrant.core.errors import BaselineError, CalibrantError
from calibrant.core.printable import printable

USER_ERROR = 2
NOTHING_TO_RECOMMEND = 4
INTERRUPTED = 130
READER_GONE = 1
FORMER_NAMES = {"--keep-float": "--exclude"}


class _Commands(click.Group):
    """The commands, and a note where one of their options is called by the name that it once had."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, after the note."""
        for name in dict.fromkeys(text.partition("=")[0] for text in args):
            if name in FORMER_NAMES:
                say(f"note: {name} is called {FORMER_NAMES[name]} now; both work", err=True)
        return super().parse_args(ctx, args)


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="calibrant")
def cli() -> None:
    """Choose how to quantize a trained model, by measurement."""


for command in (
    study,
    resume,
    sweep,
    calibrate,
    evaluate,
    compare,
    diagnose,
    coverage,
    optimize,
    deploy,
    report,
    runs,
    inspect,
    tasks,
    demo,
    cache,
    migrate,
    doctor,
    skill,
    completion,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors of the user's are one line on stderr and exit code 2."""
    _let_everything_be_printed()
    _end_in_order()
    try:
        cli.main(None if arguments is None else list(arguments), prog_name="calibrant", standalone_mode=False)
        _flush()
    except click.exceptions.NoArgsIsHelpError as help_:
        help_.show()
        sys.exit(USER_ERROR)
    except click.UsageError as error:
        _fail(f"{error.format_message()} See '{_help_of(error)}'")
    except click.ClickException as error:
        _fail(error.format_message())
    except BaselineError as error:
        _fail(str(error), NOTHING_TO_RECOMMEND)
    except CalibrantError as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt):
        say("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:
        _drop_unprinted()
        if error.errno == errno.EPIPE:  # nobody reads on, as in `| head -1`
            sys.exit(READER_GONE)
        _fail(_in_words(error))


def _end_in_order() -> None:
    """Take temporary folders away also where a scheduler or a closed terminal ends the command."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _ended)


def _ended(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _let_everything_be_printed() -> None:
    """A path may hold characters that the terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    """Print what waits; a stdout that was closed from the start is None."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _fail(message: str, code: int = USER_ERROR) -> None:
    say(f"error: {printable(message)}", err=True)
    sys.exit(code)


def _help_of(error: click.UsageError) -> str:
    return f"{error.ctx.command_path if error.ctx else 'calibrant'} --help"


def _in_words(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; free or choose another place"


def _drop_unprinted() -> None:
    """What stdout could not take must not fail once more when Python ends."""
    try:
        _flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
