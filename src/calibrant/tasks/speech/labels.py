"""Sounds with what is said in them: the form is recognised, and all become :class:`LabelledClips`."""

from __future__ import annotations

import csv
import glob
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import files_in, first, is_file, is_folder, text_of, unique_ids
from calibrant.tasks.media.sounds import SOUND_SUFFIXES
from calibrant.tasks.speech.types import Clip, LabelledClips

_TEXTS = ("text", "transcription", "sentence", "transcript", "normalized_text")
_SOUNDS = ("audio_filepath", "file_name", "audio", "path", "file", "wav")
_GLOB_SIGNS = frozenset("*?[")

Pair = tuple[str, Path, str]
"""A clip's own name, its file, and what is said."""


@dataclass(frozen=True)
class Form:
    """How labels are written. ``find`` gives what is to be read where a path is of this form."""

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path], Iterator[Pair]]


def open_labels(path: Path, limit: int | None = None) -> LabelledClips:
    """Open labelled clips of any of :data:`FORMS`, by the label file or its folder; the first ``limit``.

    Raises DataError where there are none, or where labels name sounds that are missing.
    """
    form, place = _found(path)
    pairs = list(form.read(place))
    if not pairs:
        raise DataError(f"'{place}' labels no sound; write at least one line")
    there = [pair for pair in pairs if is_file(pair[1])]
    if not there:
        raise DataError(f"'{place}' names sounds that do not exist, e.g. '{pairs[0][1]}'; check their folder")
    gone = len(pairs) - len(there)
    warnings = (f"{gone} of {len(pairs)} sounds of '{place}' are missing and left out",) if gone else ()
    kept = there[: first(limit, len(there))]
    names = [name for name, _, _ in kept]
    if len(set(names)) < len(names):
        names = list(unique_ids([sound for _, sound, _ in kept]))
    clips = tuple(Clip(name, sound, text) for name, (_, sound, text) in zip(names, kept, strict=True))
    return LabelledClips(clips, warnings)


def open_sounds(source: str, limit: int | None = None) -> tuple[Clip, ...]:
    """Sounds without labels: a folder, a glob, a ``.txt`` list or a file; or those of labelled clips.

    Raises DataError where there are none.
    """
    path = Path(source)
    if any(form.find(path) for form in FORMS):
        return open_labels(path, limit).samples
    if is_folder(path):
        found = files_in(path, SOUND_SUFFIXES, recursive=True)
    elif is_file(path) and path.suffix == ".txt":
        found = tuple(path.parent / line.strip() for line in text_of(path).splitlines() if line.strip())
    elif is_file(path):
        found = (path,)
    elif _GLOB_SIGNS & set(source):
        matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207  (which takes absolute patterns)
        found = tuple(Path(match) for match in matches if Path(match).suffix.lower() in SOUND_SUFFIXES)
    else:
        found = ()
    if not found or not is_file(found[0]):
        raise DataError(f"'{source}' holds no sounds; give a folder of .wav or .flac, a glob, or {_forms()}")
    kept = found[: first(limit, len(found))]
    return tuple(Clip(name, sound) for name, sound in zip(unique_ids(kept), kept, strict=True))


def _found(path: Path) -> tuple[Form, Path]:
    if not (is_file(path) or is_folder(path)):
        raise DataError(f"'{path}' does not exist; give {_forms()}")
    found = [(form, place) for form in FORMS if (place := form.find(path)) is not None]
    if len(found) > 1:
        places = " and ".join(f"'{place}'" for _, place in found)
        raise DataError(f"'{path}' has labels in {places}; give one of them")
    if not found:
        raise DataError(f"'{path}' has no labels that can be read; give {_forms()}")
    return found[0]


def _forms() -> str:
    return ", or ".join(form.name for form in FORMS)


# --- LibriSpeech -----------------------------------------------------------------------------------


def _librispeech_in(path: Path) -> Path | None:
    if is_file(path):
        return path if path.name.endswith(".trans.txt") else None
    return path if is_folder(path) and next(path.rglob("*.trans.txt"), None) else None


def _librispeech(path: Path) -> Iterator[Pair]:
    for labels in [path] if is_file(path) else sorted(path.rglob("*.trans.txt")):
        for line in text_of(labels).splitlines():
            name, _, text = line.strip().partition(" ")
            if name:
                yield name, _with_suffix(labels.parent / name), text


def _with_suffix(stem: Path) -> Path:
    """The sound of this name, whatever its form."""
    choices = [Path(f"{stem}{suffix}") for suffix in (".flac", ".wav", ".ogg")]
    return next((path for path in choices if is_file(path)), choices[0])


# --- Kaldi -----------------------------------------------------------------------------------------


def _kaldi_in(path: Path) -> Path | None:
    folder = path.parent if path.name == "wav.scp" else path
    return folder if is_file(folder / "wav.scp") and is_file(folder / "text") else None


def _kaldi(folder: Path) -> Iterator[Pair]:
    if is_file(folder / "segments"):
        raise DataError(f"'{folder}' cuts its sounds by 'segments'; write the pieces out, and their wav.scp")
    said = dict(_keyed(folder / "text"))
    for name, sound in _keyed(folder / "wav.scp"):
        if sound.endswith("|"):
            raise DataError(
                f"'{folder / 'wav.scp'}' runs commands, e.g. for {name!r}; write their sounds out"
            )
        if name in said:
            yield name, folder / sound, said[name]


def _keyed(path: Path) -> Iterator[tuple[str, str]]:
    for line in text_of(path).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            yield name, rest.strip()


# --- tables ----------------------------------------------------------------------------------------


def _table_in(path: Path) -> Path | None:
    if is_file(path):
        return path if path.suffix in (".csv", ".jsonl", ".json", ".tsv") else None
    names = ("metadata.jsonl", "metadata.csv", "manifest.json", "manifest.jsonl")
    return next((path / name for name in names if is_folder(path) and is_file(path / name)), None)


def _table(path: Path) -> Iterator[Pair]:
    """NeMo's manifests, LJSpeech's and audiofolder's metadata."""
    rows = _json_rows(path) if path.suffix.startswith(".json") else _csv_rows(path)
    for number, row in enumerate(rows, 1):
        sound = next((row[name] for name in _SOUNDS if row.get(name)), None)
        text = next((row[name] for name in _TEXTS if row.get(name) is not None), None)
        if not isinstance(sound, str) or not isinstance(text, str):
            raise DataError(
                f"'{path}' line {number} names no sound or no text; it needs a column of "
                f"{', '.join(_SOUNDS[:3])} and one of {', '.join(_TEXTS[:3])}"
            )
        if row.get("offset"):
            raise DataError(f"'{path}' line {number} begins inside its sound; write the pieces out")
        file = path.parent / sound
        yield file.stem, file, text


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"'{path}' line {number} is no JSON object: {error}; write one a line") from error
        if not isinstance(row, Mapping):
            raise DataError(f"'{path}' line {number} is no JSON object; write one a line")
        yield row


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    text = text_of(path)
    head = text.split("\n", 1)[0]
    if "|" in head and not any(name in head.lower().split("|") for name in _SOUNDS):
        for line in text.splitlines():  # LJSpeech: name|as written|as spoken, without a head
            name, *texts = line.split("|")
            if name and texts:
                yield {"file_name": str(_ljspeech_sound(path.parent, name)), "text": texts[-1]}
        return
    sign = next((sign for sign in ("\t", "|") if sign in head), ",")
    yield from csv.DictReader(io.StringIO(text), delimiter=sign)


def _ljspeech_sound(folder: Path, name: str) -> Path:
    if Path(name).suffix.lower() in SOUND_SUFFIXES:
        return folder / "wavs" / name if is_file(folder / "wavs" / name) else folder / name
    return _with_suffix(folder.absolute() / "wavs" / name)


FORMS = (
    Form("LibriSpeech's *.trans.txt", _librispeech_in, _librispeech),
    Form("Kaldi's wav.scp and text", _kaldi_in, _kaldi),
    Form("a NeMo manifest, LJSpeech's or audiofolder's metadata (.csv, .jsonl)", _table_in, _table),
)
