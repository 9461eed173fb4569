"""Commands on checkpoints of language models: where MODEL is a folder with safetensors files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from calibrant.cli.options import options
from calibrant.cli.output import is_terminal, print_json, progress_of, say, show_estimate


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


_METHODS = click.option(
    "--methods", metavar="LIST",
    help="For checkpoints: how weights are rounded, e.g. rtn,gptq [default: a first look].",
)  # fmt: skip
_FORMATS = click.option(
    "--formats", metavar="LIST", help="For checkpoints: e.g. w4a16-g128,w8a8,fp8 [default: a first look]."
)
_TOKENS = click.option(
    "--tokens", type=click.IntRange(min=2), metavar="N",
    help="For checkpoints: tokens of each document that are looked at [default: 2048].",
)  # fmt: skip
_DEVICE = click.option(
    "--device", metavar="NAME", help="For checkpoints: where blocks are computed, e.g. cuda [default: cpu]."
)
_WRITE = click.option(
    "--write/--no-write", default=True, show_default=True,
    help="For checkpoints: write the recommended one as compressed-tensors.",
)  # fmt: skip
RECIPES = options(
    _METHODS,
    _FORMATS,
    click.option("--candidate", "candidates", multiple=True, metavar="NAME=DIR", callback=_named_folders,
                 help="For checkpoints: one that another tool quantized, measured as well; repeatable."),
    _TOKENS,
    click.option("--decode", metavar="RULE",
                 help="For checkpoints: let the best write: exact, numeric, choice, lean, regex:PATTERN."),
    click.option("--checker", metavar="COMMAND",
                 help="For checkpoints: let the best write, scored by a program: JSON lines in and out."),
    click.option("--confirm", type=click.IntRange(min=1), metavar="N",
                 help="For checkpoints: how many candidates write [default: 2]."),
    click.option("--new-tokens", type=click.IntRange(min=1), metavar="N",
                 help="For checkpoints: tokens that they write at most [default: 256]."),
    _DEVICE,
    _WRITE,
)  # fmt: skip
BUDGETS = options(
    click.option("--bits", type=click.FloatRange(min=1, max=16), metavar="N",
                 help="For checkpoints: bits that a quantized weight may take, with its scales, e.g. 4.25."),
    click.option("--gb", type=click.FloatRange(min=0, min_open=True), metavar="N",
                 help="For checkpoints: gigabytes that the whole model may take."),
    click.option("--max-kl", type=click.FloatRange(min=0, min_open=True), metavar="N",
                 help="For checkpoints: the smallest that loses at most N nats a token."),
    _METHODS,
    _FORMATS,
    _TOKENS,
    _DEVICE,
    _WRITE,
)  # fmt: skip
ONE_CANDIDATE = options(_METHODS, _FORMATS, _TOKENS, _DEVICE, _WRITE)
REACH = options(_TOKENS, _DEVICE)
_OF_CHECKPOINTS = (
    "methods",
    "formats",
    "candidates",
    "tokens",
    "decode",
    "checker",
    "confirm",
    "new_tokens",
    "device",
    "write",
    "bits",
    "gb",
    "max_kl",
)
_SHARED = ("model", "calib", "data", "out", "limit", "calib_limit", "seed")
_NOTHING_RECOMMENDED = 4


def is_checkpoint(model: Path) -> bool:
    """Whether MODEL is a checkpoint: a folder, or a GGUF file."""
    return model.suffix == ".gguf" or (model.is_dir() and (model / "config.json").is_file())


def is_checkpoint_study(run: Path) -> bool:
    """Whether a folder holds the study of a checkpoint."""
    from calibrant.api.checkpoints import is_checkpoint_study as is_one

    return is_one(run)


def diagnosed_in(run: Path, losing: str | None) -> dict[str, Any]:
    """Settings that diagnose a candidate of a checkpoint's study; None: the worst."""
    from calibrant.api.checkpoints import diagnosed_in as found

    return found(run, losing)


def without_recipes(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for an ONNX model. Raises UsageError for options that only checkpoints have."""
    found = {name: settings.pop(name) for name in _OF_CHECKPOINTS if name in settings}
    given = [name for name, value in found.items() if value is not None and name != "write"]
    if given:
        raise click.UsageError(
            f"{_flag(given[0])} is for checkpoints, folders with config.json and safetensors."
        )
    return settings


def show_language_demo(out: Path, settings: dict[str, Any], as_json: bool) -> None:
    """Train a tiny model, study it and show the ranking."""
    from calibrant.demo.language import run_language_demo

    given = {name: settings[name] for name in ("test_samples", "seed", "overwrite")}
    with progress_of(quiet=as_json) as progress:
        result = run_language_demo(out, progress=progress, **given)
    _show(result, as_json)


def inspect_checkpoint(settings: dict[str, Any]) -> Any:
    """Describe a checkpoint."""
    from calibrant.api import checkpoints

    _refuse_others(settings, ("model",))
    return checkpoints.inspect_checkpoint(settings["model"])


def study_checkpoint(settings: dict[str, Any], as_json: bool) -> None:
    """Study a checkpoint and show the ranking."""
    from calibrant.api import checkpoints

    taken = (*_SHARED, "calibrators", "max_loss", "max_memory", "metric")
    if settings.pop("dry_run", False):
        show_estimate(_worked(checkpoints.plan_checkpoint, settings, taken, as_json), as_json)
        return
    _measure(checkpoints.study_checkpoint, settings, (*taken, "overwrite"), as_json)


def optimize_checkpoint(settings: dict[str, Any], as_json: bool) -> None:
    """Allocate a checkpoint's bits and show what was measured."""
    from calibrant.api import checkpoints

    if settings.pop("dry_run", False):
        work = partial(checkpoints.plan_checkpoint, is_optimization=True)
        show_estimate(_worked(work, settings, _SHARED, as_json), as_json)
        return
    _measure(checkpoints.optimize_checkpoint, settings, (*_SHARED, "overwrite"), as_json)


def diagnose_checkpoint(settings: dict[str, Any], as_json: bool) -> None:
    """Take a candidate apart and show its causes and remedies."""
    from calibrant.api import checkpoints

    taken = (*_SHARED, "calibrators", "max_memory", "overwrite")
    found = _worked(checkpoints.diagnose_checkpoint, settings, taken, as_json)
    if as_json:
        print_json({"out": found.study.out, **found.to_dict()})
        return
    from calibrant.reports.checkpoints import print_checkpoint_study
    from calibrant.reports.terminal import console_for

    say("\n".join((*found.lines(), "")))
    print_checkpoint_study(found.study, console_for(is_terminal(sys.stdout)))


def cover_checkpoint(settings: dict[str, Any], as_json: bool) -> None:
    """Show what calibration reaches."""
    from calibrant.api import checkpoints

    found = _worked(checkpoints.cover_checkpoint, settings, _SHARED[:-1], as_json)
    if as_json:
        print_json(found.to_dict())
    else:
        say("\n".join((*found.lines(), f"coverage.json: {found.out}")))


def _worked(work: Callable[..., Any], settings: dict[str, Any], taken: tuple[str, ...], as_json: bool) -> Any:
    """Do the work with those settings that are given; others that were given are refused."""
    names = (*taken, *_OF_CHECKPOINTS)
    _refuse_others(settings, names)
    if not (settings.get("calib") and settings.get("data")):
        raise click.UsageError("A checkpoint needs --calib and --data.")
    with progress_of(quiet=as_json) as progress:
        given = {name: settings[name] for name in names if settings.get(name) is not None}
        return work(progress=progress, **given)


def _measure(
    work: Callable[..., Any], settings: dict[str, Any], taken: tuple[str, ...], as_json: bool
) -> None:
    _show(_worked(work, settings, taken, as_json), as_json)


def _show(result: Any, as_json: bool) -> None:
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
