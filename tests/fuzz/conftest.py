"""The fuzz targets lie beside the tests, where the fuzzer's scripts are."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "fuzz"), str(ROOT / "tests" / "reports")]
