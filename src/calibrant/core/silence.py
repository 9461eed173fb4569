"""Packages that call home are told not to, before they are imported: Calibrant opens no connection unasked.

Sources: ONNX Runtime 1.32 sends events unless ``ORT_DISABLE_TELEMETRY`` is set when it is loaded. OpenVINO's
converter, which ``import openvino`` loads, sends one through the package ``openvino_telemetry``, and has a
stand-in of its own for where that is not installed. Hugging Face's packages read
``HF_HUB_DISABLE_TELEMETRY``.
"""

from __future__ import annotations

import os
import sys

VARIABLES = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_REPORTERS = ("openvino_telemetry",)


def silence() -> None:
    """Have vendors' packages that are imported from now on, here and in processes begun here, report nothing.

    What somebody has imported before stays as he has it.
    """
    os.environ.update(VARIABLES)
    for name in _REPORTERS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # to import it fails, as if it were not there
