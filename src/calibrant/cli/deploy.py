"""The command that hands a run's model over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from calibrant.cli.options import JSON, OVERWRITE, options
from calibrant.cli.output import given, print_json, progress_of, say


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True,
              type=click.Choice(["engine", "openvino", "onnxruntime", "deepstream", "triton"]),
              help="What runs the model: TensorRT, OpenVINO, ONNX Runtime, DeepStream, Triton.")  # fmt: skip
@click.option("--candidate", metavar="NAME",
              help="A calibrator of the study, or optimized [default: the recommended one].")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: RUN/deploy-TARGET].")
@click.option("--runtime", metavar="TENSORRT",
              help="The TensorRT that builds the engine, e.g. tensorrt:python=/path/to/python.")  # fmt: skip
@options(OVERWRITE, JSON)
def deploy(as_json: bool, **settings: Any) -> None:
    """Write the model of RUN, a study or an optimization, in the form that its target takes, and check it."""
    from calibrant import api

    with progress_of(quiet=as_json) as progress:
        done = api.deploy(progress=progress, **given(settings))
    if as_json:
        print_json(done.to_dict())
    else:
        say("\n".join(done.lines()))
