"""onnx-ir imports sympy, half of a command's start, for arithmetic on dimensions that we never do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


class _LateSympy(ModuleType):
    """Stands for sympy in onnx-ir; imports the real one when something of it is called or looked at."""

    is_importing = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # At import onnx-ir puts a few functions into a table; classes are looked at later, as themselves.
        return _late(name) if self.is_importing else getattr(import_module("sympy"), name)


def import_onnx_ir() -> None:
    """Import onnx-ir without sympy, unless somebody has imported either already."""
    if "onnx_ir" in sys.modules or "sympy" in sys.modules:
        return
    late = _LateSympy("sympy")
    sys.modules["sympy"] = late
    try:
        import_module("onnx_ir")
    finally:
        late.is_importing = False
        if sys.modules.get("sympy") is late:
            del sys.modules["sympy"]


def _late(name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(import_module("sympy"), name)(*arguments, **options)

    return call
