"""The files of a run's folder, as whoever reads a run reads them."""

from __future__ import annotations

import json
import shutil
from functools import cache, partial
from pathlib import Path

from made_run import Names, made_run

from calibrant.api import compare
from calibrant.artifacts.encodings import read_encodings
from calibrant.artifacts.statistics import read_statistics
from calibrant.reports.files import write_html, write_markdown
from calibrant.studies.evidence import load_evidence
from calibrant.studies.request import read_request
from targets.base import Target, document, refusals, scratch, spliced

ENCODINGS = "minmax.encodings.json"
DOCUMENTS = ("study.json", "request.json", "diagnosis.json", "coverage.json", "optimization.json", ENCODINGS)


@cache
def _made() -> Path:
    return made_run(scratch("run") / "right", Names(tensors=("a", "b", "c", "d", "e", "f")))


@cache
def _right(name: str) -> bytes:
    return (_made() / name).read_bytes()


@cache
def _copy(name: str) -> Path:
    folder = scratch(name) / "run"
    shutil.copytree(_made(), folder)
    return folder


def _json(name: str, content: bytes) -> None:
    """One file of a whole run is another; all commands that read a run look at it."""
    folder = _copy(name)
    (folder / name).write_bytes(document(content, json.loads(_right(name))))
    with refusals():
        write_markdown(folder, folder / "summary.md")
    if name not in ("request.json", ENCODINGS):
        with refusals():
            write_html(folder, folder / "report.html")
    with refusals():
        read_request(folder)
    with refusals():
        read_encodings(folder / ENCODINGS)
    with refusals():
        compare([_made(), folder])


def _arrays(content: bytes) -> None:
    path = scratch("npz") / "statistics.npz"
    path.write_bytes(spliced(content, _right("statistics.npz")))
    with refusals():
        read_statistics(path)
    with refusals():
        load_evidence(path, "detection")


RUNS = (
    *(
        Target(f"run-{name.split('.')[-2]}", partial(_json, name), partial(lambda name: [_right(name)], name))
        for name in DOCUMENTS
    ),
    Target("run-arrays", _arrays, lambda: [_right("statistics.npz")]),
)
