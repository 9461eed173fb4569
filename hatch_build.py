"""The build's one step of its own: compile the kernels, `_*kernels.c` beside the Python that uses them.

Where no C compiler is at hand the wheel is built without them, and numba has to take their place
(`pip install 'calibrant[numba]'`). ``python hatch_build.py`` compiles them in place, into ``src/``.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "src"
PYTHON = "cp311"  # the oldest Python whose limited C API has the buffer protocol; newer ones take its modules
LIMITED_API = "0x030B0000"
# Results are numba's to the bit, so that no product and sum may be contracted to one rounding.
FLAGS = (
    ["/O2", "/fp:precise"]
    if sys.platform == "win32"
    else ["-std=c99", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fvisibility=hidden", "-g0", "-Wall"]
)


class CompiledKernels(BuildHookInterface[Any]):
    """Puts the compiled kernels into a wheel, or beside their sources when the install is editable."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say so where that fails."""
        self.folder = tempfile.mkdtemp(prefix="calibrant-kernels-")
        try:
            built = compiled(Path(self.folder))
        except Exception as error:  # whatever a compiler or linker, or its absence, brings up
            self.app.display_warning(f"without compiled kernels, so numba is needed: {error}")
            return
        if version == "editable":
            put_in_place(built)
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"{PYTHON}-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["force_include"] |= {str(file): name for name, file in built.items()}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what the wheel now holds."""
        shutil.rmtree(self.folder, ignore_errors=True)


def compiled(folder: Path) -> dict[str, Path]:
    """The kernels' modules, compiled into ``folder``, by their path in the package."""
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    modules = [_extension(Extension, source) for source in sorted(SOURCE.rglob("_*kernels.c"))]
    command = build_ext(Distribution({"name": "calibrant", "ext_modules": modules}))
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    files = {module.name: Path(command.get_ext_fullpath(module.name)) for module in modules}
    return {file.relative_to(folder / "lib").as_posix(): file for file in files.values()}


def _extension(kind: Any, source: Path) -> Any:
    return kind(
        ".".join(source.relative_to(SOURCE).with_suffix("").parts),
        [str(source)],
        include_dirs=[str(SOURCE / "calibrant" / "core")],
        define_macros=[("Py_LIMITED_API", LIMITED_API)],
        extra_compile_args=FLAGS,
        py_limited_api=True,
    )


def put_in_place(built: dict[str, Path]) -> None:
    """Move the modules into the source tree; a process that has loaded an older one keeps that."""
    for name, file in built.items():
        place = SOURCE / name
        fresh = place.with_name(f"{place.name}.{os.getpid()}")
        shutil.copy(file, fresh)
        fresh.replace(place)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        put_in_place(compiled(Path(scratch)))
