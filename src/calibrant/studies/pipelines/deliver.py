"""The files to deploy: the whole model in one folder, its parts under the names that they came with."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from calibrant.artifacts.store import write_bytes
from calibrant.core.reading import read_bytes
from calibrant.models.onnx.files import external_files, read_proto
from calibrant.studies.pipelines.verdict import quantized_parts
from calibrant.studies.prepare import OpenedParts
from calibrant.studies.result import StudyResult, TrialFiles

FOLDER = "deploy"
_LARGEST_BESIDE = 64 * 2**20


def deliver(result: StudyResult, opened: OpenedParts, out: Path) -> tuple[StudyResult, tuple[str, ...]]:
    """Copy the recommended candidate's parts, those in float too, and the files beside them into a folder.

    Gives the result that names the folder, and what is in it. Raises OutputError.
    """
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    if result.recommended is None:
        return result, ()
    trial = result.trial(result.recommended.calibrator)
    quantized = quantized_parts(result, trial)
    chosen = {part.name: f"{part.chosen}" for part in result.parts}
    sources = {}
    for part, model in opened.models.items():
        name = model.path.relative_to(opened.folder.path).as_posix()
        if part in quantized:
            files = result.trial(f"{part}/{chosen[part]}").files
            assert files is not None
            sources[name] = out / files.qdq
            if files.weights:  # is named by its content, so that parts do not get in each other's way
                beside = (Path(name).parent / Path(files.weights).name).as_posix()
                sources[beside] = out / files.weights
        else:
            sources[name] = model.path
            for data in external_files(model.path, read_proto(model.path)):
                sources[data.relative_to(opened.folder.path).as_posix()] = data
    for file in opened.folder.files.values():
        if file.is_relative_to(opened.folder.path) and file.stat().st_size <= _LARGEST_BESIDE:
            sources.setdefault(file.relative_to(opened.folder.path).as_posix(), file)
    for name, source in sources.items():
        write_bytes(out / FOLDER / name, read_bytes(source))
    files = replace(trial.files or TrialFiles(), qdq=FOLDER)
    named = tuple(replace(other, files=files) if other is trial else other for other in result.trials)
    return replace(result, trials=named), tuple(f"{FOLDER}/{name}" for name in sources)
