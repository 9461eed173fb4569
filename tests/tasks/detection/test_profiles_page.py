"""The page about profiles is complete and right."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from calibrant.tasks.detection.decode import DECODERS
from calibrant.tasks.detection.profile import InputProfile, packaged_profiles, parse_profile

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "profiles.md").read_text("utf-8")


def test_every_family_and_alias_is_listed() -> None:
    listed = set(re.findall(r"`([^`]+)`", PAGE.partition("## Families")[2].partition("## A profile")[0]))
    for profile in packaged_profiles().values():
        assert {profile.name, *profile.aliases} <= listed


def test_the_example_is_a_profile() -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    assert parse_profile(example[1], "example.yaml").name == "my_detector"


def test_every_input_key_is_explained_with_its_default() -> None:
    rows = PAGE.partition("### `input`")[2].partition("### `output`")[0]
    defaults = dict(re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", rows, re.MULTILINE))
    plain = {field.name: field.default for field in fields(InputProfile) if field.name not in ("mean", "std")}
    assert {name: yaml.safe_load(text) for name, text in defaults.items()} == plain
    assert "`mean`, `std`" in rows


def test_every_decoder_is_explained_with_its_keys_and_defaults() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| (.*) \|$", PAGE.partition("### `output`")[2], re.MULTILINE)
    assert {name for name, _ in rows} == set(DECODERS)
    for name, keys in rows:
        expected: dict[str, Any] = {field.name: field.default for field in fields(DECODERS[name])}  # type: ignore[arg-type]
        assert set(re.findall(r"`(\w+)", re.sub(r"\([^)]*\)", "", keys))) == set(expected)
        for key, text in re.findall(r"`(\w+): ([^`]+)`", re.sub(r"\([^)]*\)", "", keys)):
            value = yaml.safe_load(text)
            assert (tuple(value) if isinstance(value, list) else value) == expected[key], (name, key)
