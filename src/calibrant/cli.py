"""The command line: thin commands over calibrant.api. Heavy imports wait until a command runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from calibrant import __version__
from calibrant.core.errors import CalibrantError

USER_ERROR = 2
INTERRUPTED = 130


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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="calibrant")
def cli() -> None:
    """Choose how to quantize a trained detector, by measurement."""


Command = Callable[..., Any]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_model = click.argument("model", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print only JSON.")
_data = click.option(
    "--data", required=True, type=click.Path(path_type=Path),
    help="Labelled test set: COCO JSON, Ultralytics data.yaml or a Pascal VOC folder.",
)  # fmt: skip
_calib = click.option(
    "--calib", required=True, help="Calibration images: folder, glob, list file, .npy or .npz."
)
_calibrators = click.option(
    "--calibrators", default=None, metavar="LIST",
    help="Comma-separated, e.g. minmax,entropy2,percentile:99.99|99.9 (default: all).",
)  # fmt: skip
_input = _options(
    click.option("--family", default="auto", show_default=True, metavar="NAME",
                 help="Detector family, auto, or a profile's YAML file."),
    click.option("--imgsz", type=click.IntRange(min=1), help="Input size for a model with dynamic shape."),
    click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be read."),
)  # fmt: skip
_scoring = _options(
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N test images."),
    click.option("--conf", "confidence", type=click.FloatRange(0, 1), default=0.001, show_default=True,
                 help="Keep boxes of at least this score."),
    click.option("--iou", type=click.FloatRange(0, 1), default=0.65, show_default=True, help="NMS overlap."),
    click.option("--runtime", default="onnxruntime", show_default=True, help="What runs the models."),
)  # fmt: skip
_placement = _options(
    click.option("--scheme", default="tensorrt", show_default=True, help="The target's quantization rules."),
    click.option("--keep-float", multiple=True, metavar="NODE",
                 help="Leave nodes in float, by name or pattern; repeatable."),
    click.option("--keep-head-float", is_flag=True, help="Leave the head's last convolutions in float."),
    click.option("--calib-limit", type=click.IntRange(min=1), metavar="N",
                 help="Only the first N calibration images."),
)  # fmt: skip


@cli.command()
@_options(_model, _calib, _data, _calibrators, _input, _scoring, _placement, _json)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: runs/MODEL-TIME].")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
def study(as_json: bool, **settings: Any) -> None:
    """Measure every calibrator on MODEL and recommend one."""
    from calibrant import api

    with _progress(quiet=as_json) as progress:
        result = api.study(progress=progress, **_given(settings))
    if as_json:
        _print_json(result.to_dict())
    else:
        _print_study(result)


@cli.command()
@_options(_model, _calib, _calibrators, _input, _placement, _json)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--tensors", type=click.Choice(["quantized", "all"]), default="quantized", show_default=True,
              help="Which tensors the caches hold.")  # fmt: skip
@click.option("--runtime", default="onnxruntime", show_default=True, help="What runs the model.")
def calibrate(as_json: bool, **settings: Any) -> None:
    """Write a TensorRT cache and a Q/DQ model for every calibrator; needs no labels."""
    from calibrant import api

    with _progress(quiet=as_json) as progress:
        result = api.calibrate(progress=progress, **_given(settings))
    if as_json:
        _print_json(result.to_dict())
        return
    click.echo(f"{result.images} images, {result.tensors} tensors")
    for candidate in result.candidates:
        click.echo(f"{candidate.calibrator}: {candidate.failure or f'{candidate.cache}, {candidate.qdq}'}")


@cli.command()
@_options(_model, _data, _input, _scoring, _json)
def evaluate(as_json: bool, **settings: Any) -> None:
    """Print the COCO mAP of any float or quantized detector."""
    from calibrant import api

    with _progress(quiet=as_json) as progress:
        result = api.evaluate(progress=progress, **_given(settings))
    if as_json:
        _print_json(result.to_dict())
        return
    click.echo(f"{result.model} as {result.family}, {result.images} images, {result.seconds:.1f} s")
    for name, points in result.figures.items():
        click.echo(f"{name:<12} {'-' if points is None else f'{points:.2f}'}")


@cli.command()
@_options(_model, _json)
@click.option("--family", default="auto", show_default=True, metavar="NAME", help="Detector family, or auto.")
@click.option("--scheme", default="tensorrt", show_default=True, help="The target's quantization rules.")
def inspect(as_json: bool, **settings: Any) -> None:
    """Show a model's inputs, outputs and family, its cost, and what would be quantized."""
    from calibrant import api

    result = api.inspect(**settings)
    if as_json:
        _print_json(result.to_dict())
    else:
        click.echo("\n".join(result.lines()))


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those the user left to the API's own default."""
    return {name: value for name, value in settings.items() if value is not None}


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _print_study(result: Any) -> None:
    from calibrant.report.terminal import console_for, print_study

    print_study(result, console_for(sys.stdout.isatty()))


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """Bars on a terminal; otherwise only notes, on stderr."""
    from calibrant.report.progress import Bars, Notes

    if not quiet and sys.stderr.isatty():
        with Bars() as bars:
            yield bars
    else:
        yield Notes()
