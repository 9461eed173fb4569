"""Figures as they are written."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.cli import cli
from calibrant.core.metrics import Metric
from calibrant.reports.words import (
    NOTHING,
    figure,
    interval,
    listed,
    percent,
    points,
    short,
    signed,
)
from calibrant.studies.commands import study_command
from calibrant.studies.plan import StudySettings
from calibrant.studies.request import StudyRequest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.99999, "1.00"),
        (187.3, "187"),
        (0.0412, "0.0412"),
        (1234567, "1.23e+06"),
        (-2.5, "\N{MINUS SIGN}2.50"),
        (99999.0, "100,000"),
        (None, NOTHING),
        (float("nan"), NOTHING),
    ],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_figure_says_its_value(value: float) -> None:
    told = float(figure(value).replace("\N{MINUS SIGN}", "-").replace(",", ""))
    assert told == pytest.approx(value, rel=6e-3)


def test_points_and_intervals_have_no_negative_zero() -> None:
    assert (points(-0.04), signed(-0.04), interval(-0.04, 1.25, Metric("m"))) == ("0.0", "+0.0", "0.0 to 1.2")


def test_what_is_more_than_nothing_does_not_read_as_nothing() -> None:
    told = [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0.0, 0.0001, 0.41)]
    assert told == ["0.0 %", "< 0.1 %", "41.0 %"]


def test_names_in_a_sentence() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdef")) == "a, b, c and 3 others"


@given(st.text(max_size=80), st.integers(8, 40))
def test_short_names_fit_and_keep_both_ends(name: str, most: int) -> None:
    text = short(name, most)
    assert len(text) <= most
    assert name.startswith(text.split("…")[0]) or "…" in name
    assert text == name or name.endswith(text[-3:])


def test_the_command_repeats_the_request() -> None:
    settings = StudySettings(
        exclude=("/a b", "c*"),
        keep_head_float=True,
        options={"imgsz": 320},
        input_shape=(320, 320),
        seed=3,
    )
    request = StudyRequest(
        "my model.onnx", "calib", "d.json", ("minmax",), limit=9, skip_bad=True, settings=settings
    )
    words = shlex.split(study_command(request))
    study = cli.commands["study"]
    context = study.make_context("study", words[2:])
    assert words[:2] == ["calibrant", "study"]
    given_ = context.params
    assert str(given_["model"]) == "my model.onnx"
    assert (given_["exclude"], given_["keep_head_float"], given_["skip_bad"]) == (
        ("/a b", "c*"),
        True,
        True,
    )
    assert (given_["imgsz"], given_["seed"], given_["limit"], given_["calib_limit"]) == (320, 3, 9, None)
