"""A run's model in the form that its target takes."""

from __future__ import annotations

from pathlib import Path

from calibrant.api.arguments import PathLike
from calibrant.core.errors import SettingsError
from calibrant.core.progress import Progress
from calibrant.core.types import Runtime
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.studies.deployment.write import OPENVINO_IR, Deployment
from calibrant.studies.deployment.write import deploy as write


def deploy(
    run: PathLike,
    to: str,
    *,
    candidate: str | None = None,
    out: PathLike | None = None,
    runtime: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Deployment:
    """Hand a run's model over to ``to``, read it again, and check it.

    run: the folder of a study or an optimization.
    to: ``engine`` (TensorRT), ``openvino``, ``onnxruntime``, ``deepstream`` or ``triton``.
    candidate: a calibrator of the study, or ``optimized`` [the recommended one].
    out: the folder to write [``deploy-TO`` in the run's folder].
    runtime: the TensorRT that builds the engine, e.g. ``tensorrt:python=/path/to/python``; without one
        the command that builds it is written down.
    overwrite: write into a folder that is not empty.
    Raises CalibrantError.
    """
    folder = Path(out) if out is not None else Path(run) / f"deploy-{to}"
    return write(
        Path(run),
        to,
        folder,
        candidate=candidate,
        runtime=runtime_named(runtime, progress) if runtime else _builder(to),
        reference=runtime_named(REFERENCE),
        overwrite=overwrite,
    )


def _builder(to: str) -> Runtime | None:
    """OpenVINO, where it is what writes; engines are built by the TensorRT that the user names only."""
    if to != OPENVINO_IR:
        return None
    try:
        return runtime_named(OPENVINO_IR)
    except SettingsError:
        return None
