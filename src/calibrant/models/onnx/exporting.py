"""From a training framework's file to ONNX, by the framework's own command in a process of its own.

A ``.pt`` is a pickle: whoever opens it runs what is in it. So it is opened only where the user names the file
a second time, and never by this process.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrant.core.errors import ModelError, OutputError
from calibrant.core.progress import Progress
from calibrant.core.reading import LARGEST_HASHED, require_regular, sha256_of
from calibrant.core.scratch import ScratchFolder
from calibrant.core.user_folder import user_cache_folder
from calibrant.core.writing import copy_atomically
from calibrant.models.onnx.files import EXPORT

OPSET = 17
PATIENCE_SECONDS = 1800.0

_PICKLES = frozenset({".pt"})
_PADDLE = frozenset({".pdmodel", ".json"})
_WEIGHTS = ".pdiparams"
# Nothing is installed, asked for or reported while a model is exported.
_QUIET = {"YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class _Export:
    """A command that writes ``result`` in its folder. inputs: what is copied there first."""

    command: tuple[str, ...]
    inputs: tuple[Path, ...]
    result: str

    def key(self) -> str:
        """What decides the result: the files' contents, the command, and which program it is."""
        digest = hashlib.sha256("\0".join(self.command).encode())
        for path in self.inputs:
            digest.update(sha256_of(path).encode())
        return digest.hexdigest()[:24]


def can_be_exported(path: Path) -> bool:
    """Whether a file is one that a framework's command turns into ONNX, where that is installed."""
    return path.suffix.lower() in _PICKLES or _is_paddle(path)


def exported(path: Path, trust: Path | None, shape: Sequence[int] | None, progress: Progress) -> Path:
    """The ONNX file that the framework's own command makes of ``path``, from the user's cache folder.

    trust: the file that the user allows to be opened although it is a pickle. shape: height and width of the
    input, for a command that fixes them. Raises ModelError with the reason and what to do.
    """
    planned = _export_of(path, trust, shape)
    kept = user_cache_folder() / "exports" / planned.key() / f"{path.stem}.onnx"
    if not kept.is_file():
        progress.note(f"{path.name} is exported to ONNX: {shlex.join(planned.command)}")
        _run(planned, path, kept)
    progress.note(f"{path.name} is read as {kept}")
    return kept


def _is_paddle(path: Path) -> bool:
    return path.suffix.lower() in _PADDLE and path.with_suffix(_WEIGHTS).is_file()


def _export_of(path: Path, trust: Path | None, shape: Sequence[int] | None) -> _Export:
    try:
        require_regular(path, LARGEST_HASHED)
    except OSError as error:
        raise ModelError(f"cannot read {str(path)!r}: {error.strerror}; give the path of a model") from error
    return _of_paddle(path) if _is_paddle(path) else _of_pickle(path, trust, shape)


def _of_pickle(path: Path, trust: Path | None, shape: Sequence[int] | None) -> _Export:
    name = shlex.quote(path.name)
    if trust is None or not _is_same(trust, path):
        raise ModelError(
            f"{path.name} is a PyTorch checkpoint, and opening one runs what is in it; if you trust it, "
            f"add --trust {shlex.quote(str(path))}, or export it yourself: {EXPORT.format(name=name)}"
        )
    program = _program("yolo", path, f"export it where it is: {EXPORT.format(name=name)}")
    command = (
        program,
        "export",
        f"model={path.name}",
        "format=onnx",
        f"opset={OPSET}",
        "simplify=False",
        *_size(shape),
    )
    return _Export(command, (path,), f"{path.stem}.onnx")


def _size(shape: Sequence[int] | None) -> list[str]:
    """How the ``yolo`` command takes height and width; a square's one side."""
    sides = dict.fromkeys(shape or ()) if len(set(shape or ())) == 1 else shape or ()
    return [f"imgsz={','.join(map(str, sides))}"] if sides else []


def _of_paddle(path: Path) -> _Export:
    weights, result = path.with_suffix(_WEIGHTS), f"{path.stem}.onnx"
    program = _program("paddle2onnx", path, "pip install paddle2onnx, or convert it where it is")
    command = (
        program, "--model_dir", ".", "--model_filename", path.name, "--params_filename", weights.name,
        "--save_file", result, "--opset_version", str(OPSET),
    )  # fmt: skip
    return _Export(command, (path, weights), result)


def _is_same(trust: Path, path: Path) -> bool:
    return trust.resolve() == path.resolve()


def _program(name: str, path: Path, remedy: str) -> str:
    # A command of this Python's own environment counts, whether or not that is activated.
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise ModelError(
            f"{path.name} has to be exported to ONNX, and no {name} command is installed here; {remedy}"
        )
    return found


def _run(planned: _Export, path: Path, kept: Path) -> None:
    with ScratchFolder() as scratch:
        folder = scratch / "model"  # with nothing in it but the model
        folder.mkdir()
        for source in planned.inputs:
            copy_atomically(source, folder / source.name)
        told = _output_of(planned, path, folder)
        result = folder / planned.result
        if not result.is_file():
            raise ModelError(
                f"{planned.command[0]} wrote no {planned.result} for {path.name}: {_last_line(told)}"
            )
        try:
            copy_atomically(result, kept)
        except OSError as error:
            raise OutputError(f"cannot keep {kept}: {error.strerror}; free some space there") from error


def _output_of(planned: _Export, path: Path, folder: Path) -> str:
    environment = {**os.environ, **_QUIET, "YOLO_CONFIG_DIR": str(folder)}
    try:
        ended = subprocess.run(  # noqa: S603  # the user's own command, on a file that the user named
            planned.command, cwd=folder, env=environment, timeout=PATIENCE_SECONDS, check=False, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(
            f"{planned.command[0]} could not export {path.name}: {error}; export it yourself"
        ) from error
    if ended.returncode != 0:
        raise ModelError(
            f"{planned.command[0]} could not export {path.name}: {_last_line(ended.stdout)}; see what "
            f"{shlex.join(planned.command)} says"
        )
    return ended.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
