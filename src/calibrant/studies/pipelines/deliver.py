"""The files to deploy: the whole model in one folder, its parts under the names that they came with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
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
    made = {}
    for part in quantized_parts(result, trial):
        chosen = next(each.chosen for each in result.parts if each.name == part)
        files = result.trial(f"{part}/{chosen}").files
        assert files is not None
        made[part] = [out / name for name in (files.qdq, files.weights) if name]
    names = copied_parts(opened, made, out / FOLDER)
    files = replace(trial.files or TrialFiles(), qdq=FOLDER)
    named = tuple(replace(other, files=files) if other is trial else other for other in result.trials)
    return replace(result, trials=named), tuple(f"{FOLDER}/{name}" for name in names)


def copied_parts(opened: OpenedParts, made: Mapping[str, Sequence[Path]], folder: Path) -> tuple[str, ...]:
    """Copy the whole model into ``folder``, and give the names of its files there.

    made: for each quantized part its Q/DQ model, and after it the file of its weights if there is one; the
    others are copied in float. Raises OutputError.
    """
    sources: dict[str, Path] = {}
    for part, model in opened.models.items():
        name = model.path.relative_to(opened.folder.path).as_posix()
        if part in made:
            qdq, *weights = made[part]
            sources[name] = qdq
            for file in weights:  # is named by its content, so that parts do not get in each other's way
                sources[(Path(name).parent / file.name).as_posix()] = file
        else:
            sources[name] = model.path
            for data in external_files(model.path, read_proto(model.path)):
                sources[data.relative_to(opened.folder.path).as_posix()] = data
    for file in opened.folder.files.values():
        if file.is_relative_to(opened.folder.path) and file.stat().st_size <= _LARGEST_BESIDE:
            sources.setdefault(file.relative_to(opened.folder.path).as_posix(), file)
    for name, source in sources.items():
        write_bytes(folder / name, read_bytes(source))
    return tuple(sources)
