"""What names files and places: SHA256SUMS, a sweep's file, the store's URL, an optimization's goal."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from calibrant.artifacts.checksums import damaged_files, read_checksums
from calibrant.artifacts.runs_store.location import store_url
from calibrant.artifacts.runs_store.setting import VARIABLE
from calibrant.core.urls import without_secrets
from calibrant.studies.optimization.goal import GOAL, read_goal
from calibrant.studies.sweep.plan import read_sweep
from targets.base import Target, refusals, scratch, spliced

SUMS = b"".join(
    b"%064x  %s\n" % (number, name) for number, name in enumerate((b"study.json", b"evidence/a.npz"))
)
SWEEP = b"""models: [m.onnx]
datasets: [{name: a, calib: calib, data: data.yaml}]
schemes: [tensorrt, onnxruntime]
runtimes: [onnxruntime, "tensorrt:python=/bin/true"]
calibrators: [minmax, "percentile:99.9|99.99"]
settings: {limit: 30, race: false, exclude: ["a*"]}
skip: [{model: "*x*", scheme: onnxruntime}]
"""
URLS = (
    b"postgresql://user:pa%40ss@host:5432/db?sslmode=require&password=secret",
    b"sqlite:////tmp/runs.sqlite",
    b"postgresql://u:p@h:abc/db",
)
ASKED = b'{"schema_version": 1, "goal": {"max_loss": 1.0, "least_int8": 0.95, "seed": 0}, "seconds": 600.0}'


def _checksums(content: bytes) -> None:
    folder = scratch("sums")
    (folder / "SHA256SUMS").write_bytes(spliced(content, SUMS))
    with refusals():
        assert not any(name.startswith("/") or ".." in Path(name).parts for name in read_checksums(folder))
    damaged_files(folder)


@cache
def _swept() -> Path:
    folder = scratch("sweep")
    (folder / "calib").mkdir()
    for name in ("m.onnx", "data.yaml"):
        (folder / name).touch()
    return folder / "sweep.yaml"


def _sweep(content: bytes) -> None:
    path = _swept()
    path.write_bytes(spliced(content, SWEEP))
    with refusals():
        for run in read_sweep(path):
            assert "python=" not in run.runtime, run.runtime
            assert Path(run.name).name == run.name


def _url(content: bytes) -> None:
    text = content.decode("utf-8", "replace").replace("\0", "")
    without_secrets(text, text)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = text
    try:
        with refusals():
            store_url()
    finally:
        os.environ.pop(VARIABLE)
        if before is not None:
            os.environ[VARIABLE] = before


def _goal(content: bytes) -> None:
    (scratch("goal") / GOAL).write_bytes(spliced(content, ASKED))
    with refusals():
        read_goal(scratch("goal"))


FOLDERS = (
    Target("checksums", _checksums, lambda: [SUMS]),
    Target("sweep", _sweep, lambda: [SWEEP]),
    Target("store-url", _url, lambda: list(URLS)),
    Target("goal", _goal, lambda: [ASKED]),
)
