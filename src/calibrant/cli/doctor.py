"""Commands about the installation: doctor and completion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from calibrant.cli.options import JSON
from calibrant.cli.output import print_json, say

if TYPE_CHECKING:
    from calibrant.reports.doctor import Finding

SHELLS = ("bash", "zsh", "fish")


@click.command()
@JSON
def doctor(as_json: bool) -> None:
    """Show what is installed and usable, and what to do about what is missing."""
    from calibrant.reports.doctor import examine

    found = examine()
    if as_json:
        print_json(found.to_dict())
        return
    for part, findings in vars(found).items():
        say("\n".join([part, *_lines(findings)]))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print the script that completes commands and options in SHELL.

    \b
    bash: eval "$(calibrant completion bash)"           in ~/.bashrc
    zsh:  eval "$(calibrant completion zsh)"            in ~/.zshrc
    fish: calibrant completion fish | source            in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "calibrant", "_CALIBRANT_COMPLETE").source())


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"  {'!' if finding.remedy else ' '} {finding.subject:<22} {finding.words}"
        if finding.remedy:
            yield f"    {'':<22} {finding.remedy}"
