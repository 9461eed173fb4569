"""A user without a home, as in a container that runs as some number, has folders all the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from calibrant.core.user_folder import user_cache_folder, user_data_folder


def test_the_temporary_folder_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("CALIBRANT_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA", "APPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    for folder in (user_cache_folder(), user_data_folder()):
        assert Path(tempfile.gettempdir()) in folder.parents
