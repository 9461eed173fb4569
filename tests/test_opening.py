"""Files are opened for reading by core/reading.py and written by core/writing.py, and nowhere else.

What waits for ever, fills the memory or writes through a link is refused there, once for the whole house.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "calibrant"

# Functions by the name they are called by, and methods of whatever stands before the dot.
FUNCTIONS = {
    "open", "io.open", "os.open", "os.fdopen", "codecs.open", "os.mkfifo", "os.link", "os.symlink",
    "np.load", "np.memmap", "np.fromfile", "np.loadtxt", "np.genfromtxt", "np.save", "np.savez",
    "np.savez_compressed", "np.savetxt", "np.lib.format.open_memmap", "json.load", "json.dump",
    "yaml.dump", "zipfile.ZipFile", "tarfile.open", "gzip.open", "bz2.open", "lzma.open", "Image.open",
    "cv2.imread", "cv2.imwrite", "cv2.VideoCapture", "ElementTree.parse", "ElementTree.iterparse",
    "onnx.load", "onnx.load_model", "onnx.save", "onnx.save_model",
    "onnx.shape_inference.infer_shapes_path", "onnx.checker.check_model",
    "onnx.external_data_helper.load_external_data_for_model", "ir.load", "ir.save", "ort.InferenceSession",
    "sqlite3.connect", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree", "shutil.move",
    "linecache.getlines", "mmap.mmap", "tempfile.NamedTemporaryFile", "tempfile.mkstemp",
    "tempfile.TemporaryFile", "tempfile.TemporaryDirectory", "tempfile.mkdtemp",
}  # fmt: skip
METHODS = {
    "read_text", "read_bytes", "write_text", "write_bytes", "tofile", "read_model", "parse_from_file",
    "symlink_to", "hardlink_to", "touch", "ParseFromFile",
}  # fmt: skip
OURS = {"core/reading.py", "core/writing.py"}

# Where it stands, what stands there, and why it is no way around.
ALLOWED = {
    ("artifacts/lock.py", "os.open"): "the lock: no link is followed, and nothing but a lock is written to",
    ("artifacts/store.py", "tempfile.TemporaryFile"): "a file without a name, to see that files can be made",
    ("core/scratch.py", "os.open"): "the file that says that a folder is in use; no link is followed",
    ("core/scratch.py", "tempfile.mkdtemp"): "the one way to a folder for the time being",
    (
        "models/onnx/model.py",
        "tempfile.TemporaryDirectory",
    ): "a draft's, beside its place; occupied() sweeps it",
    ("stages/remote/collecting.py", "tempfile.TemporaryDirectory"): "on a disk that machines share; likewise",
    ("artifacts/arrays.py", ".open(mode)"): "a member of an archive in memory",
    ("artifacts/arrays.py", "zipfile.ZipFile"): "of bytes in memory",
    ("cli/__init__.py", "os.open"): "os.devnull",
    ("cli/skill.py", "read_text"): "Calibrant's own page",
    ("models/onnx/onnx_passes.py", "onnx.checker.check_model"): "of a model in memory",
    ("models/onnx/model.py", "write_bytes"): "a draft in a folder that was made for it",
    ("models/onnx/model.py", "ir.save"): "into a folder that was made for it",
    (
        "models/onnx/model.py",
        ".open(mode)",
    ): "a draft, to have it on the disk",
    ("reports/html/page.py", "read_text"): "Calibrant's own page",
    ("runtimes/openvino.py", "read_model"): "behind require_regular",
    ("runtimes/ort.py", "ort.InferenceSession"): "behind require_regular",
    ("runtimes/ort_files.py", "ort.InferenceSession"): "of bytes in memory",
    ("runtimes/ort_files.py", ".open(mode)"): "a new file, in a folder that was made for it",
    ("cli/task_options.py", "write_text"): "into a page of help",
    ("tasks/media/arrays.py", "np.fromfile"): "behind require_regular; of no more than the header says",
    ("tasks/media/arrays.py", "np.memmap"): "behind require_regular: to map it, numpy wants the name",
    ("tasks/media/arrays.py", "zipfile.ZipFile"): "behind require_regular",
    ("tasks/media/images.py", "read_bytes"): "of what an archive holds",
    ("tasks/media/images.py", "Image.open"): "of a stream that core/reading.py opened",
    ("tasks/detection/profile.py", "read_text"): "Calibrant's own profiles",
    ("testing.py", "read_bytes"): "models that the conformance cases have made themselves",
    ("testing.py", "write_bytes"): "models that the conformance cases make",
    ("runtimes/tensorrt_rtx_worker.py", "parse_from_file"): "the model that its host has opened",
    # The worker runs in an interpreter that may lack Calibrant; the paths are of files that its host made.
    ("runtimes/tensorrt_worker/build.py", "read_bytes"): "its own timing cache",
    ("runtimes/tensorrt_worker/build.py", "parse_from_file"): "the model that its host has opened",
    ("runtimes/tensorrt_worker/calibrate.py", "read_bytes"): "scales that its host wrote",
    ("runtimes/tensorrt_worker/files.py", "os.fdopen"): "a temporary file, then renamed",
    ("runtimes/tensorrt_worker/files.py", "tempfile.mkstemp"): "a temporary file, then renamed",
    ("runtimes/tensorrt_worker/service.py", "os.open"): "os.devnull",
    ("runtimes/tensorrt_worker/service.py", "os.fdopen"): "its own pipe",
    ("runtimes/tensorrt_worker/service.py", "read_bytes"): "an engine that it built itself",
}


def ways_around(source: str) -> Iterator[str]:
    """Calls that open, read or write a file by its name."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).replace("numpy.", "np.")
        if name in FUNCTIONS:
            yield name
        elif isinstance(node.func, ast.Attribute):
            if node.func.attr in METHODS:
                yield node.func.attr
            elif node.func.attr == "open" and any(
                map(_is_mode, (*node.args, *(k.value for k in node.keywords)))
            ):
                yield ".open(mode)"


def _is_mode(argument: ast.expr) -> bool:
    """Whether it is what ``Path.open`` takes: other things have a method ``open``, too."""
    return (
        isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and not set(argument.value) - set("rwxabt+")
    )


def _found() -> set[tuple[str, str]]:
    files = sorted(SOURCE.rglob("*.py"))
    assert len(files) > 100
    return {
        (place, way)
        for file in files
        if (place := file.relative_to(SOURCE).as_posix()) not in OURS
        for way in ways_around(file.read_text("utf-8"))
    }


def test_there_is_no_way_around() -> None:
    assert _found() - ALLOWED.keys() == set()


def test_no_exception_outlives_its_reason() -> None:
    assert ALLOWED.keys() - _found() == set()


@pytest.mark.parametrize(
    "line",
    [
        "open(path)",
        "with path.open('rb') as stream: pass",
        "path.open(mode='w')",
        "path.read_text()",
        "Path(name).read_bytes()",
        "path.write_text(text)",
        "np.load(path, allow_pickle=False)",
        "numpy.fromfile(path)",
        "json.load(stream)",
        "onnx.load(path)",
        "shutil.copy(a, b)",
        "os.open(path, flags)",
    ],
)
def test_a_way_around_would_be_seen(line: str) -> None:
    assert list(ways_around(line))


def test_what_opens_no_file_is_not_seen() -> None:
    harmless = "runtime.open(model)\nread_bytes(path)\nworkers.open('a model')\njson.loads(text)"
    assert not list(ways_around(harmless))
