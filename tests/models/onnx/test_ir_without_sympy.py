"""Commands start without sympy, and what onnx-ir needs it for still works."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORTS = {
    "every function of the API": "import calibrant.api as a; [getattr(a, n) for n in dir(a)]",
    "one room": "import calibrant.targets.tensorrt.network",
    "the command line": "import calibrant.cli, calibrant.api.studies",
}


def _printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("imports", IMPORTS.values(), ids=IMPORTS.keys())
def test_no_import_of_ours_loads_sympy(imports: str) -> None:
    assert _printed(f"{imports}; import sys; print('onnx_ir' in sys.modules, 'sympy' in sys.modules)") in (
        "True False\n",
        "False False\n",
    )


def test_symbolic_dimensions_can_be_reckoned_with() -> None:
    code = (
        "import calibrant.models.onnx, onnx_ir as ir, sys; n = ir.SymbolicDim('max(N, 2)*2'); print(n + 1);"
        "import sympy; print(ir.SymbolicDim(sympy.Symbol('M')) * 2); print(sys.modules['sympy'] is sympy)"
    )
    first, second, third = _printed(code).splitlines()
    assert "Max(2, N)" in first
    assert (second, third) == ("2*M", "True")


def test_a_host_that_imported_onnx_ir_first_keeps_it() -> None:
    assert _printed("import onnx_ir as a, calibrant.models.onnx, onnx_ir as b; print(a is b)") == "True\n"
