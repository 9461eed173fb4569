from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import inside, unique_ids

names = st.text(st.sampled_from("ab./\\:\0C"), max_size=8)


@given(name=names)
def test_a_name_stays_in_its_folder_or_is_refused(name: str) -> None:
    folder = Path("/data/images")
    try:
        path = inside(folder, name)
    except DataError:
        return
    assert Path(os.path.normpath(path)).is_relative_to(folder)
    assert path != folder


parts = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)


@given(paths=st.lists(parts.map(lambda found: Path("root", *found)), min_size=1, unique=True))
def test_ids_are_unique_and_end_with_the_file_name(paths: list[Path]) -> None:
    ids = unique_ids(paths)
    assert len(set(ids)) == len(paths)
    for name, path in zip(ids, paths, strict=True):
        assert path.as_posix().endswith(name)
        assert name.endswith(path.name)


def test_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    from calibrant.tasks.media.files import files_in

    with pytest.raises(DataError, match="cannot be listed"):
        files_in(tmp_path / "absent", {".png"})
