"""Profiles: the packaged table of families, and what users write."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.core.errors import SettingsError
from calibrant.tasks.detection.decode.rows import Rows
from calibrant.tasks.detection.profile import (
    InputProfile,
    Profile,
    family_named,
    load_profile,
    packaged_profiles,
    parse_profile,
)

MINE = """
name: mine
input:
  resize: stretch
  colour: bgr
  divide: 1
  mean: [103.53, 116, 123.675]
output:
  decoder: rows
  layout: columns
  objectness: false
  nms: false
"""


def test_a_users_profile_says_all_it_can(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    profile = load_profile(path)
    assert profile.name == "mine"
    assert profile.input == InputProfile(
        resize="stretch", colour="bgr", divide=1.0, mean=(103.53, 116.0, 123.675)
    )
    assert profile.output.decoder == Rows(layout="columns", objectness=False)
    assert not profile.output.nms


def test_the_name_defaults_to_the_files() -> None:
    assert parse_profile("output: {decoder: rows}", "my_detector.yaml").name == "my_detector"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINE.replace("colour", "color"), "unknown key 'color'; did you mean 'colour'?"),
        (MINE.replace("layout", "layuot"), "unknown key 'layuot'; did you mean 'layout'?"),
        (MINE.replace("input:", "inputs:"), "unknown key 'inputs'; did you mean 'input'?"),
        (MINE.replace("stretch", "strech"), "'strech' is not possible; did you mean 'stretch'?"),
        (MINE.replace("decoder: rows", "decoder: row"), "no decoder is called 'row'; did you mean 'rows'?"),
        (MINE.replace("divide: 1", "divide: one"), "'one' is not a number"),
        (MINE.replace("nms: false", "nms: 0"), "'0' is not true or false"),
        (MINE.replace("[103.53, 116, 123.675]", "[1, 2]"), "is not a list of 3"),
        (MINE.replace("[103.53, 116, 123.675]", "7"), "is not a list of 3"),
        (MINE.replace("divide: 1", "divide: 0"), "cannot be 0"),
        (MINE.replace("[103.53, 116, 123.675]", "[1, 2, 3]\n  std: [1, 0, 1]"), "cannot be 0"),
        (MINE.replace("divide: 1", "divide: .nan"), "'nan' is not a number"),
        (MINE.replace("divide: 1", "pad: 300"), "pad 300 is no pixel value"),
        ("output: {decoder: yolox-grid, strides: [8, x]}", "'x' is not a whole number"),
        ("output: {decoder: yolox-grid, strides: []}", "strides [] are not possible"),
        ("output: {decoder: distribution-grid, bins: 1}", "bins 1 make no distribution"),
        ("output: {decoder: anchor-maps, anchors: [[1, 2]]}", "anchors need for each of the 3 strides"),
        ("output: {decoder: final-rows, columns: [x1, y1, x2, y2, score]}", "columns lack 'class'"),
        ("input: 7", "keys with values are needed"),
        ("- a list", "keys with values are needed"),
        ("name: a: b", "is not YAML"),
        ("output: !!python/object/apply:os.system ['true']", "is not YAML"),
        ("name: mine", "no decoder is called 'None'"),
    ],
)
def test_mistakes_are_named_in_one_line_with_the_remedy(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_profile(text, "mine.yaml")
    message = str(caught.value)
    assert says in message
    assert "mine.yaml" in message
    assert "\n" not in message


@given(st.text(max_size=80))
def test_any_text_gives_a_profile_or_a_settings_error(text: str) -> None:
    for content in (text, f"output: {{decoder: rows, {text}}}"):
        with suppress(SettingsError):
            assert isinstance(parse_profile(content, "any.yaml"), Profile)


def test_a_missing_or_unreadable_profile_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        load_profile(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SettingsError, match=r"binary\.yaml"):
        load_profile(tmp_path / "binary.yaml")


def test_every_file_is_a_family_under_its_own_name() -> None:
    profiles = packaged_profiles()
    assert {"yolov5", "yolov8", "yolov10", "yolox", "yolo-fastest", "fastestdet", "nanodet", "detr"} <= set(
        profiles
    )
    names = [name for profile in profiles.values() for name in (profile.name, *profile.aliases)]
    assert len(names) == len(set(names))
    assert all(profile.summary for profile in profiles.values())


@pytest.mark.parametrize(
    ("asked", "given"),
    [("yolov7", "yolov5"), ("YOLO11", "yolov8"), ("yolo26", "yolov10"), (" yolox ", "yolox")],
)
def test_families_are_found_by_alias_and_in_any_case(asked: str, given: str) -> None:
    assert family_named(asked).name == given


def test_an_unknown_family_suggests_the_nearest() -> None:
    with pytest.raises(SettingsError, match="no family is called 'yolo5'; did you mean 'yolov5'"):
        family_named("yolo5")


def test_a_profile_may_name_its_classes_and_how_boxes_suppress_each_other() -> None:
    text = "classes: [person, face]\noutput: {decoder: rows, class_agnostic: true}"
    profile = parse_profile(text, "mine.yaml")
    assert (profile.classes, profile.output.class_agnostic) == (("person", "face"), True)


@pytest.mark.parametrize("background", ["first", "last", "true"])
def test_a_background_may_be_first_or_last(background: str) -> None:
    profile = parse_profile(f"output: {{decoder: queries, background: {background}}}", "mine.yaml")
    assert profile.output.decoder.class_count({"boxes": (1, 9, 4), "scores": (1, 9, 7)}) == 6
