"""Fuzz one parser, guided by coverage: ``python fuzz/one.py TARGET [CORPUS] [libFuzzer options]``.

Needs atheris (wheels for Linux). libFuzzer's options are e.g. ``-max_total_time=60``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src"
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "reports")]

# Where numba does the kernels' work: it cannot compile what is instrumented.
KERNELS = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*kernels.py")]

with atheris.instrument_imports(include=["calibrant"], exclude=KERNELS, enable_loader_override=False):
    from targets import TARGETS


def main() -> None:
    """Start libFuzzer on the target that the first argument names."""
    target = TARGETS[sys.argv.pop(1)]
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
