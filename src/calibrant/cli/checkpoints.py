"""Commands on checkpoints of language models: where MODEL is a folder with safetensors files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from calibrant.cli.options import options
from calibrant.cli.output import is_terminal, print_json, progress_of


def _named_folders(
    _context: click.Context, _option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str] | None:
    """NAME=DIR, each name once; None: nothing was given."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in found:
            raise click.BadParameter(f"{text!r} is no NAME=DIR with a name of its own")
        found[name] = folder
    return found or None


RECIPES = options(
    click.option("--methods", metavar="LIST",
                 help="For checkpoints: how weights are rounded, e.g. rtn,gptq [default: a first look]."),
    click.option("--formats", metavar="LIST",
                 help="For checkpoints: e.g. w4a16-g128,w8a8,fp8 [default: a first look]."),
    click.option("--candidate", "candidates", multiple=True, metavar="NAME=DIR", callback=_named_folders,
                 help="For checkpoints: one that another tool quantized, measured as well; repeatable."),
    click.option("--tokens", type=click.IntRange(min=2), metavar="N",
                 help="For checkpoints: tokens of each document that are looked at [default: 2048]."),
    click.option("--write/--no-write", default=True, show_default=True,
                 help="For checkpoints: write the recommended one as compressed-tensors."),
)  # fmt: skip
_OF_CHECKPOINTS = ("methods", "formats", "candidates", "tokens", "write")
_NOTHING_RECOMMENDED = 4


def is_checkpoint(model: Path) -> bool:
    """Whether MODEL is a checkpoint's folder."""
    return model.is_dir() and (model / "config.json").is_file()


def without_recipes(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for an ONNX model. Raises UsageError for options that only checkpoints have."""
    found = {name: settings.pop(name) for name in _OF_CHECKPOINTS}
    given = [name for name, value in found.items() if value is not None and name != "write"]
    if given:
        raise click.UsageError(
            f"{_flag(given[0])} is for checkpoints, folders with config.json and safetensors."
        )
    return settings


def inspect_checkpoint(settings: dict[str, Any]) -> Any:
    """Describe a checkpoint."""
    from calibrant.api import checkpoints

    _refuse_others(settings, ("model",))
    return checkpoints.inspect_checkpoint(settings["model"])


def study_checkpoint(settings: dict[str, Any], as_json: bool) -> None:
    """Study a checkpoint and show the ranking."""
    from calibrant.api import checkpoints

    taken = (
        "model",
        "calib",
        "data",
        "out",
        "calibrators",
        "limit",
        "calib_limit",
        "seed",
        "max_loss",
        *_OF_CHECKPOINTS,
    )
    _refuse_others(settings, taken)
    wanted = {name: settings[name] for name in taken if settings.get(name) is not None}
    with progress_of(quiet=as_json) as progress:
        result = checkpoints.study_checkpoint(progress=progress, **wanted)
    if as_json:
        print_json({"out": result.out, **result.to_dict()})
    else:
        from calibrant.reports.checkpoints import print_checkpoint_study
        from calibrant.reports.terminal import console_for

        print_checkpoint_study(result, console_for(is_terminal(sys.stdout)))
    if result.recommended is None:
        sys.exit(_NOTHING_RECOMMENDED)


def _refuse_others(settings: dict[str, Any], taken: tuple[str, ...]) -> None:
    context = click.get_current_context()
    for name in settings.keys() - set(taken):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{_flag(name)} does not apply to checkpoints; leave it out.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
