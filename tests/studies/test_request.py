import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import DataError
from calibrant.studies.plan import StudySettings
from calibrant.studies.request import REQUEST, StudyRequest, kept_request, read_request

REQUESTED = StudyRequest("m.onnx", "calib", "data.json", ("minmax", "percentile:99.9"))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
limits = st.none() | st.integers(1, 1000)


@given(
    st.builds(
        StudyRequest,
        model=texts,
        calib=texts,
        data=texts,
        calibrators=st.lists(texts, min_size=1, max_size=3).map(tuple),
        limit=limits,
        calib_limit=limits,
        skip_bad=st.booleans(),
        settings=st.builds(
            StudySettings, exclude=st.lists(texts, max_size=2).map(tuple), seed=st.integers(0, 99)
        ),
    )
)
def test_a_request_survives_its_file(request_: StudyRequest) -> None:
    kept = StudyRequest.from_dict(json.loads(json.dumps(request_.to_dict())))
    assert kept == request_.absolute()


def test_paths_hold_from_any_folder() -> None:
    assert Path(REQUESTED.absolute().model).is_absolute()
    assert Path(REQUESTED.absolute().calib).is_absolute()
    assert REQUESTED.absolute().family == "auto"


def test_the_request_stays_when_the_study_wrote_something(tmp_path: Path) -> None:
    (tmp_path / "minmax.cache").touch()
    with pytest.raises(KeyError), kept_request(tmp_path, REQUESTED):
        raise KeyError
    assert read_request(tmp_path) == REQUESTED.absolute()


def test_a_study_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), kept_request(tmp_path, REQUESTED):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_an_older_study_keeps_its_request(tmp_path: Path) -> None:
    with kept_request(tmp_path, REQUESTED):
        (tmp_path / "study.json").touch()
    other = StudyRequest("other.onnx", "calib", "data.json", ("mse",))
    with pytest.raises(KeyError), kept_request(tmp_path, other):
        raise KeyError
    assert read_request(tmp_path) == REQUESTED.absolute()


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 9}', '{"schema_version": 1}'])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / REQUEST).write_text(content)
    with pytest.raises(DataError) as error:
        read_request(tmp_path)
    assert REQUEST in str(error.value)
    assert "\n" not in str(error.value)
