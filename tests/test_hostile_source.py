"""What would let a file run code or reach a shell does not stand in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "calibrant"

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "torch.load", "torch.hub.load", "tempfile.mktemp",
}  # fmt: skip
# Definitions of models and arithmetic: weights are read from safetensors by our own reader, and torch.load,
# which unpickles, is not called (CALLS).
TORCH_IS_AT_HOME = "models/checkpoint/"
ALLOWED = {
    # Ray moves functions between its own processes, with a copy of cloudpickle that reads no file.
    ("executors/ray.py", "cloudpickle"),
}


def offences(source: str) -> Iterator[str]:
    """Imports of modules that unpickle, calls that run text, shells, and arrays of objects."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names if (name := alias.name.partition(".")[0]) in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from {node.module.partition(".")[0]} & MODULES
        elif isinstance(node, ast.Call):
            yield from {ast.unparse(node.func)} & CALLS
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if given.get("shell", "False") != "False":
                yield "shell"
            if given.get("allow_pickle", "False") != "False":
                yield "allow_pickle"
            if ast.unparse(node.func) in {"np.load", "numpy.load"} and given.get("allow_pickle") != "False":
                yield "np.load"


def test_the_source_has_none_of_it() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    found = {
        (file.relative_to(SOURCE).as_posix(), offence)
        for file in files
        for offence in offences(file.read_text("utf-8"))
    }
    at_home = {(file, "torch") for file, _ in found if file.startswith(TORCH_IS_AT_HOME)}
    assert found - ALLOWED - at_home == set()


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib.parallel import x",
        "eval(text)",
        "os.system(text)",
        "yaml.load(text)",
        "subprocess.run(x, shell=True)",
        "np.load(x)",
        "np.load(x, allow_pickle=True)",
        "numpy.load(x, allow_pickle=flag)",
    ],
)
def test_it_would_be_seen(line: str) -> None:
    assert list(offences(line))


def test_what_is_harmless_is_not_seen() -> None:
    harmless = "import re\nre.compile(x)\nast.literal_eval(x)\nnp.load(x, allow_pickle=False)\nmodel.eval()"
    assert not list(offences(harmless))
