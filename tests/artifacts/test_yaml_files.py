from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.artifacts.yaml_files import read_yaml, write_yaml
from calibrant.core.errors import DataError

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
)


@given(st.dictionaries(words, values, max_size=4))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, object]
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "a.yaml"
    write_yaml(path, content)
    assert read_yaml(path) == content
    assert list(read_yaml(path)) == list(content)


@pytest.mark.parametrize(
    "text", ["", "[1]", "a: [", "a: !!python/object/apply:os.system ['true']", "\x00", "[" * 5000]
)
def test_anything_else_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.yaml") as error:
        read_yaml(path)
    assert "\n" not in str(error.value)
