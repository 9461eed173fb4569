"""TensorRT calibration caches: ``calibrant cache ...`` and ``calibrant migrate``."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calibrant.cli.options import JSON, MODEL
from calibrant.cli.output import given, print_json, say

if TYPE_CHECKING:
    from calibrant.targets.tensorrt.cache import TensorRTCache
    from calibrant.targets.tensorrt.cache_diff import CacheDifference, ScaleChange

DIFFERENT = 1
CHECK_FAILED = 1

_FILE = click.argument("file", type=click.Path(path_type=Path))
_OUT = click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="File to write.")


_ASSUME = click.option(
    "--assume-version",
    metavar="VERSION",
    help="TensorRT's, where the header names none (TRT-8XXX), e.g. 8.5.1.",
)


@click.group()
def cache() -> None:
    """Read, compare and convert TensorRT calibration caches."""


@cache.command()
@_FILE
@_ASSUME
@JSON
def show(file: Path, assume_version: str | None, as_json: bool) -> None:
    """List the scales of a cache, in its order, and those that nothing can use."""
    from calibrant import api

    if as_json:
        print_json(api.cache_to_json(file, assume_version=assume_version))
    else:
        say("\n".join(_listing(file.name, api.show_cache(file, assume_version))))


@cache.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@click.option("--threshold", type=click.FloatRange(0), metavar="X",
              help="Exit with 1 only for a change of more than this fraction, e.g. 0.01.")  # fmt: skip
@JSON
def diff(before: Path, after: Path, threshold: float | None, as_json: bool) -> None:
    """Show what changed from cache A to cache B, the largest relative change first.

    With --threshold only changes beyond it are listed.

    Exit code 1 when anything differs, or with --threshold when a scale changed by more; 0 otherwise.
    """
    from calibrant import api

    found = api.diff_caches(before, after)
    differs = not found.is_empty if threshold is None else bool(found.beyond(threshold))
    if as_json:
        print_json({**found.to_dict(), "threshold": threshold, "differs": differs})
    else:
        say("\n".join(_difference(found, threshold)))
    sys.exit(DIFFERENT if differs else 0)


@cache.command()
@_FILE
@click.option("--tensorrt", required=True, metavar="VERSION", help="E.g. 8.5.1, 8.5.1.7 or 10.3.")
@click.option("--algorithm", type=click.Choice(["minmax", "entropy2", "entropy", "legacy"]),
              help="The calibrator that is to read it [default: the one that wrote it].")  # fmt: skip
@click.option("--quantile", type=click.FloatRange(0, 1), help="Legacy's quantile [default: kept, or 0.9999].")
@click.option(
    "--cutoff", type=click.FloatRange(0, 1), help="Legacy's regression cutoff [default: kept, or 1]."
)
@_OUT
@JSON
def convert(file: Path, out: Path, as_json: bool, **settings: Any) -> None:
    """Rewrite a cache's header so that another TensorRT, or another calibrator, takes it for its own."""
    from calibrant import api

    _say_written(api.convert_cache(file, out, **settings), out, as_json)


@cache.command(name="to-json")
@_FILE
@click.option("-o", "--out", type=click.Path(path_type=Path), help="File to write [default: print].")
def to_json(file: Path, out: Path | None) -> None:
    """Describe a cache in JSON: of each tensor scale, threshold (scale * 127) and the exact bits."""
    from calibrant import api

    content = api.cache_to_json(file, out)
    if out is None:
        print_json(content)
    else:
        say(f"{out}: {len(content['tensors'])} tensors")


@cache.command(name="from-json")
@_FILE
@_OUT
@JSON
def from_json(file: Path, out: Path, as_json: bool) -> None:
    """Make the cache again from its JSON, byte for byte; edited scales are taken as they are."""
    from calibrant import api

    _say_written(api.cache_from_json(file, out), out, as_json)


@click.command()
@MODEL
@click.option("--cache", required=True, type=click.Path(path_type=Path), help="TensorRT's calibration cache.")
@_OUT
@click.option("--check", default="auto", show_default=True,
              type=click.Choice(["none", "rules", "tensorrt-rtx", "auto"]),
              help="What judges the result; auto: TensorRT-RTX where installed, else its rules.")  # fmt: skip
@click.option("--scheme", default="tensorrt", show_default=True, help="The target's quantization rules.")
@click.option("--exclude", "--keep-float", "exclude", multiple=True, metavar="NODE",
              help="Leave nodes in float, by name or pattern; repeatable.")  # fmt: skip
@click.option("--allow-missing", is_flag=True,
              help="Leave layers in float whose input has no scale, as TensorRT does.")  # fmt: skip
@_ASSUME
@JSON
def migrate(as_json: bool, **settings: Any) -> None:
    """Turn MODEL and the cache TensorRT <= 10 made of it into an explicit Q/DQ model.

    Exit code 1 when the check refuses the result, which is kept.
    """
    from calibrant import api

    result = api.migrate(**given(settings))
    if as_json:
        print_json(result.to_dict())
    else:
        say("\n".join(result.lines()))
    sys.exit(0 if result.check.passed else CHECK_FAILED)


def _listing(name: str, content: TensorRTCache) -> Iterator[str]:
    from calibrant.core.printable import printable
    from calibrant.targets.tensorrt.cache import hex_of, origin_of, threshold_of, unfit_scales

    yield f"{name}: {origin_of(content.header)}, {len(content.scales)} tensors"
    if not content.scales:
        yield "the cache holds no scales: calibration did not come to its end; calibrate again"
        return
    yield f"{'scale':>13}  {'threshold':>13}  {'hex':>8}  tensor"
    for tensor, scale in content.scales.items():
        yield f"{scale:13.7g}  {threshold_of(scale):13.7g}  {hex_of(scale):>8}  {printable(tensor)}"
    for tensor in (unfit := unfit_scales(content)):
        yield f"no finite positive scale: {printable(tensor)} has {content.scales[tensor]}"
    if unfit:
        yield (
            f"scales that nothing can use: {len(unfit)} of {len(content.scales)}; calibration saw NaN or "
            "infinity there: check the model in float, and calibrate again"
        )
    zeros = [tensor for tensor, scale in content.scales.items() if scale == 0]
    if zeros:
        yield (
            f"scales of 0: {len(zeros)}, e.g. {printable(zeros[0])}; calibration saw only zeros there, "
            "and explicit Q/DQ needs positive ones (calibrant migrate puts 1)"
        )


def _difference(found: CacheDifference, threshold: float | None) -> Iterator[str]:
    from calibrant.core.printable import printable

    listed = found.changed if threshold is None else found.beyond(threshold)
    if listed:
        yield f"{'change':>10}  {'scale in A':>13}  {'scale in B':>13}  tensor"
    for change in listed:
        figures = f"{_share(change):>10}  {change.before:13.7g}  {change.after:13.7g}"
        yield f"{figures}  {printable(change.tensor)}"
    for side, tensors in (("A", found.only_before), ("B", found.only_after)):
        yield from (f"{'only in ' + side:>10}  {'':13}  {'':13}  {printable(tensor)}" for tensor in tensors)
    common = len(found.changed) + found.unchanged
    largest = f", the most {_share(found.changed[0])}" if found.changed else ""
    beyond = "" if threshold is None else f", {len(listed)} by more than {threshold:g}"
    yield (
        f"{len(found.changed)} of {common} common tensors changed{largest}{beyond}; "
        f"{len(found.only_before)} only in A, {len(found.only_after)} only in B"
    )


def _share(change: ScaleChange) -> str:
    """A relative change as a percentage; one from 0 has none."""
    return f"{change.relative:+.3%}" if math.isfinite(change.relative) else "from 0"


def _say_written(content: TensorRTCache, out: Path, as_json: bool) -> None:
    if as_json:
        print_json({"out": str(out), "header": content.header, "tensors": len(content.scales)})
    else:
        say(f"{out}: {content.header}, {len(content.scales)} tensors")
