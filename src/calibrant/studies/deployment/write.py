"""A run's model in the form that its target takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.store import output_folder, write_bytes
from calibrant.core.disk import cannot_write
from calibrant.core.errors import OutputError, SettingsError
from calibrant.core.schemes import ONNXRUNTIME, OPENVINO, TENSORRT, TENSORRT_IMPLICIT
from calibrant.core.types import ConvertingRuntime, Runtime
from calibrant.core.writing import copy_atomically
from calibrant.models.onnx.files import external_files, read_proto
from calibrant.models.onnx.model import load_model, signature_of
from calibrant.studies.deployment.checks import agreement, finite
from calibrant.studies.deployment.chosen import Chosen, chosen_candidates
from calibrant.targets import deepstream, triton
from calibrant.targets.tensorrt.trtexec import trtexec_line

ENGINE, OPENVINO_IR, ONNX, DEEPSTREAM, TRITON = "engine", "openvino", "onnxruntime", "deepstream", "triton"
_DEEPSTREAM_CONFIG = "config_infer.txt"
_BUILD = "build.sh"


@dataclass(frozen=True)
class Deployment:
    """What was written for a target.

    ``files`` are relative to ``out``. ``checks`` say what was read again and how far it agrees;
    ``commands`` are left to run where the target is.
    """

    out: str
    target: str
    candidate: str
    files: tuple[str, ...]
    checks: tuple[str, ...]
    commands: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()
        }

    def lines(self) -> list[str]:
        """As the screen shows it."""
        written = [f"{self.candidate} for {self.target}: {', '.join(self.files)} in {self.out}"]
        return [
            *written,
            *(f"checked: {check}" for check in self.checks),
            *(f"run: {line}" for line in self.commands),
        ]


@dataclass(frozen=True)
class _Target:
    """schemes: those whose candidates were measured for it. write: gives files, checks and commands."""

    schemes: tuple[str, ...]
    write: Callable[[Chosen, Path, Runtime | None, Runtime], Deployment]


def deploy(
    run: Path,
    target: str,
    out: Path,
    *,
    candidate: str | None = None,
    runtime: Runtime | None = None,
    reference: Runtime,
    overwrite: bool = False,
) -> Deployment:
    """Write a run's candidate for ``target`` into ``out``, read it again and check it.

    run: the folder of a study or of an optimization. candidate: a calibrator of the study, or ``optimized``
    [the recommended one]; of a model of several files all parts. runtime: what builds the target's form,
    where it is here. reference: ONNX Runtime, which runs Q/DQ models. Raises DataError, SettingsError,
    OutputError and RuntimeFailedError.
    """
    if target not in TARGETS:
        raise SettingsError(f"there is no target {target!r}; known: {', '.join(TARGETS)}")
    parts = chosen_candidates(run, candidate)
    chosen, known = parts[0], TARGETS[target]
    if chosen.scheme not in known.schemes:
        raise SettingsError(
            f"{run} measured candidates for {chosen.scheme}; what {target} runs is rounded elsewhere, so "
            f"its loss was not measured: study the model with --scheme {known.schemes[0]} first"
        )
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise OutputError(f"{out} is not empty; give another folder with --out, or --overwrite")
    with output_folder(out):
        if len(parts) == 1:
            return known.write(chosen, out, runtime, reference)
        found = {}
        for part in parts:
            place = out / part.stem
            place.mkdir(exist_ok=True)
            found[part.stem] = known.write(part, place, runtime, reference)
    return _together(out, target, found)


def _together(out: Path, target: str, parts: Mapping[str, Deployment]) -> Deployment:
    """What was written for all parts of a model, each into a folder of its name."""
    return Deployment(
        str(out),
        target,
        f"all of {', '.join(parts)}",
        tuple(f"{part}/{file}" for part, found in parts.items() for file in found.files),
        tuple(f"{part}: {check}" for part, found in parts.items() for check in found.checks),
        tuple(command for found in parts.values() for command in found.commands),
    )


def _to_onnxruntime(chosen: Chosen, out: Path, _runtime: Runtime | None, reference: Runtime) -> Deployment:
    files = _copied(chosen.qdq, out / f"{chosen.stem}.onnx")
    check = f"{reference.name} {reference.version} opens it, and {finite(reference, out / files[0])}"
    return Deployment(str(out), ONNX, chosen.name, files, (check,))


def _to_openvino(chosen: Chosen, out: Path, runtime: Runtime | None, _reference: Runtime) -> Deployment:
    if runtime is None or not isinstance(runtime, ConvertingRuntime):
        raise SettingsError("OpenVINO is not installed here; pip install 'calibrant[openvino]'")
    written = runtime.convert(chosen.deployable(), out / chosen.stem)
    check = agreement(runtime, written[0], runtime, chosen.qdq)
    return Deployment(str(out), OPENVINO_IR, chosen.name, tuple(file.name for file in written), (check,))


def _to_engine(chosen: Chosen, out: Path, runtime: Runtime | None, reference: Runtime) -> Deployment:
    if isinstance(runtime, ConvertingRuntime):
        written = runtime.convert(chosen.deployable(), out / chosen.stem)
        check = agreement(runtime, written[0], reference, chosen.qdq)
        return Deployment(str(out), ENGINE, chosen.name, tuple(file.name for file in written), (check,))
    engine = f"{chosen.stem}.engine"
    if chosen.scheme == TENSORRT_IMPLICIT.name:
        model, cache = chosen.with_cache(ENGINE)
        files = (*_copied(model, out / "float.onnx"), *_copied(cache, out / f"{chosen.stem}.cache"))
        line = trtexec_line("float.onnx", engine, f"{chosen.stem}.cache")
    else:
        files = _copied(chosen.qdq, out / f"{chosen.stem}.onnx")
        line = trtexec_line(files[0], engine)
    write_bytes(out / _BUILD, f'#!/bin/sh\ncd "$(dirname "$0")" && exec {line}\n'.encode())
    return Deployment(str(out), ENGINE, chosen.name, (*files, _BUILD), (), (f"sh {out / _BUILD}",))


def _to_deepstream(chosen: Chosen, out: Path, _runtime: Runtime | None, reference: Runtime) -> Deployment:
    model, cache = chosen.with_cache(DEEPSTREAM)
    signature = signature_of(load_model(model))
    preparation = chosen.profile.get("input")
    if not isinstance(preparation, Mapping):
        raise SettingsError(
            "the run does not say how nvinfer would prepare this model's input; use --to engine, and "
            "prepare it in your pipeline"
        )
    files = (*_copied(model, out / "float.onnx"), *_copied(cache, out / f"{chosen.stem}.cache"))
    text = deepstream.nvinfer_configuration(
        "float.onnx", f"{chosen.stem}.cache", f"{chosen.stem}.engine", signature.inputs[0].shape,
        preparation, [output.name for output in signature.outputs],
    )  # fmt: skip
    write_bytes(out / _DEEPSTREAM_CONFIG, text.encode())
    check = f"{reference.name} opens float.onnx, and {finite(reference, out / 'float.onnx')}"
    return Deployment(str(out), DEEPSTREAM, chosen.name, (*files, _DEEPSTREAM_CONFIG), (check,))


def _to_triton(chosen: Chosen, out: Path, runtime: Runtime | None, reference: Runtime) -> Deployment:
    signature = signature_of(load_model(chosen.qdq))
    version = out / chosen.stem / "1"
    version.mkdir(parents=True, exist_ok=True)
    if isinstance(runtime, ConvertingRuntime) and chosen.scheme != ONNXRUNTIME.name:
        written = runtime.convert(chosen.deployable(), version / "model")[0]
        file = written.rename(version / triton.ENGINE).name
        check = agreement(runtime, version / file, reference, chosen.qdq)
    else:
        file = _copied(chosen.qdq, version / triton.ONNX)[0]
        check = f"{reference.name} {reference.version} opens it, and {finite(reference, version / file)}"
    text = triton.model_configuration(chosen.stem, file, signature.inputs, signature.outputs)
    write_bytes(out / chosen.stem / "config.pbtxt", text.encode())
    files = (
        f"{chosen.stem}/config.pbtxt",
        *(f"{chosen.stem}/1/{path.name}" for path in sorted(version.iterdir())),
    )
    return Deployment(
        str(out), TRITON, chosen.name, files, (check,), (f"tritonserver --model-repository={out.absolute()}",)
    )


def _copied(source: Path, target: Path) -> tuple[str, ...]:
    """Copy a file, and what a model reads beside it under the names that it knows. Gives names.

    Raises OutputError.
    """
    parts = external_files(source, read_proto(source)) if source.suffix == ".onnx" else ()
    for old, new in ((source, target), *((part, target.with_name(part.name)) for part in parts)):
        try:
            copy_atomically(old, new)
        except OSError as error:
            raise cannot_write(new, error, "choose another folder with --out") from error
    return (target.name, *(part.name for part in parts))


TARGETS = {
    ENGINE: _Target((TENSORRT.name, TENSORRT_IMPLICIT.name), _to_engine),
    OPENVINO_IR: _Target((OPENVINO.name,), _to_openvino),
    ONNX: _Target((ONNXRUNTIME.name, TENSORRT.name, OPENVINO.name), _to_onnxruntime),
    DEEPSTREAM: _Target((TENSORRT_IMPLICIT.name,), _to_deepstream),
    TRITON: _Target((ONNXRUNTIME.name, TENSORRT.name), _to_triton),
}
"""What a model can be handed over to."""
