"""Which architectures can be studied is known without torch, and said where they are described."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from calibrant.models.checkpoint.known import SAME_AS, SUPPORTED, refusal_of
from calibrant.studies.checkpoints.inspection import inspect_checkpoint_folder


@pytest.mark.parametrize("kind", [*SUPPORTED, *SAME_AS])
def test_those_that_are_tested_are_not_refused(kind: str) -> None:
    assert refusal_of(kind) is None


def test_a_description_promises_no_study_that_would_be_refused(tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    header = json.dumps({name: {"dtype": "F32", "shape": [64, 64], "data_offsets": [0, 16384]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16384))
    (tmp_path / "config.json").write_text('{"model_type": "unheard_of", "hidden_size": 64}')
    last = [*inspect_checkpoint_folder(tmp_path).lines()][-1]
    assert last.startswith("it cannot be studied: it is a 'unheard_of'")
