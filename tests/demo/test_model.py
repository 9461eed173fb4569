from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

import pytest

from calibrant.core.errors import SettingsError
from calibrant.demo import model
from calibrant.demo.model import demo_model


def test_the_file_is_found_without_importing_the_package() -> None:
    before = "ddddocr" in sys.modules
    assert demo_model().name == "common_det.onnx"
    assert ("ddddocr" in sys.modules) is before


def test_an_absent_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r'pip install "calibrant\[demo\]"'):
        demo_model()


def test_a_package_without_the_file_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = ModuleSpec("ddddocr", None, is_package=True)
    monkeypatch.setattr(model, "find_spec", lambda _: empty)
    with pytest.raises(SettingsError, match=r"common_det\.onnx"):
        demo_model()
