"""A model in a training framework's file on the command line: exported first, where the user trusts it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import click

_HELP = frozenset({"-h", "--help"})

TRUST = click.option(
    "--trust", type=click.Path(path_type=Path), metavar="FILE", expose_value=False,
    help="Open this .pt, a pickle that may run anything, to export it with its own framework.",
)  # fmt: skip


def with_exported_model(arguments: Sequence[str], valued: Collection[str]) -> list[str]:
    """The arguments with the ONNX file in the place of what a framework's command exports.

    valued: the options that take a value. Raises ModelError.
    """
    position = next(_positions(arguments, valued), None)
    if position is None or _HELP & set(arguments) or not _may_be_exported(arguments[position]):
        return list(arguments)
    from calibrant.cli.output import progress_of
    from calibrant.models.onnx.exporting import can_be_exported, exported
    from calibrant.studies.plan import input_shape_of
    from calibrant.tasks.registry import option_flags

    path = Path(arguments[position])
    if not can_be_exported(path):
        return list(arguments)
    trust, shape = (
        _value_of(arguments, "--trust"),
        _value_of(arguments, "--input-shape", *option_flags(sides_only=True).values()),
    )
    with progress_of(quiet="--json" in arguments) as progress:
        made = exported(
            path, Path(trust) if trust else None, input_shape_of(shape) if shape else None, progress
        )
    return [*arguments[:position], str(made), *arguments[position + 1 :]]


def _positions(arguments: Sequence[str], valued: Collection[str]) -> Iterator[int]:
    """Where arguments stand that are neither options nor values of options."""
    for position, (before, text) in enumerate(pairwise(["", *arguments])):
        if not text.startswith("-") and before not in valued:
            yield position


def _may_be_exported(text: str) -> bool:
    return text.lower().endswith((".pt", ".pdmodel", ".json"))


def _value_of(arguments: Sequence[str], *names: str) -> str | None:
    """What an option of the command line is given, before click reads it; the last one counts."""
    found = None
    for position, argument in enumerate(arguments):
        name, sign, value = argument.partition("=")
        if name in names:
            found = value if sign else next(iter(arguments[position + 1 :]), None)
    return found
