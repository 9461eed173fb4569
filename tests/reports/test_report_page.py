"""report.html as text: what it holds for which files, and that nothing from a file gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_run import Names, made_run, made_study

from calibrant.artifacts.store import read_json, write_json
from calibrant.core.errors import DataError
from calibrant.core.printable import printable_lines
from calibrant.reports.html.page import _script_safe, report_html
from calibrant.reports.material import load_material
from calibrant.studies.run import RESULT

EVERY_SECTION = [
    "ranking", "causes", "swap", "tensors", "growth", "detections", "images", "coverage", "optimization",
    "all-tensors", "provenance",
]  # fmt: skip
MEGABYTE = 1_000_000


class Parsed(HTMLParser):
    """The tags of a page, the text that is shown, and what stands in its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.shown: list[str] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.scripts.append(data)
        elif self._open != "style":
            self.shown.append(data)

    def with_name(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split())

    @property
    def plots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.scripts[0])
        return found


def page_of(folder: Path) -> str:
    return report_html(load_material(folder))


def sections_in(page: Parsed) -> list[str | None]:
    return [attributes["id"] for attributes in page.with_name("section")][1:]


def test_a_run_with_everything_fills_every_section(tmp_path: Path) -> None:
    page = Parsed(page_of(made_run(tmp_path)))
    assert sections_in(page) == EVERY_SECTION
    assert [plot["kind"] for plot in page.plots][:2] == ["ranking", "waterfall"]
    assert {plot["kind"] for plot in page.plots} == {
        "ranking", "waterfall", "histogram", "growth", "bars", "groups", "learning", "front",
    }  # fmt: skip
    assert "Use minmax" in page.text
    assert "entropy2 loses 10.7 points" in page.text


def test_what_tensorrt_runs_in_int8_is_drawn_layer_by_layer(tmp_path: Path) -> None:
    made_run(tmp_path, diagnosed=False)
    study = read_json(tmp_path / RESULT)
    study["model"]["layers"] = [
        {"name": "conv + relu", "computes": "INT8", "writes": "FP32", "reformats": 1},
        {"name": "transpose", "computes": "FP32", "writes": "FP32", "reformats": 0},
    ]
    write_json(tmp_path / RESULT, study)
    page = Parsed(page_of(tmp_path))
    (plot,) = [plot for plot in page.plots if plot["kind"] == "precision"]
    assert [(layer["computes"], layer["reformats"]) for layer in plot["layers"]] == [("INT8", 1), ("FP32", 0)]
    assert "precision" in sections_in(page)
    assert "Layers in INT8: 1, in FP32: 1; reformats between them, each a pass over memory: 1." in page.text
    assert load_material(tmp_path).study.to_dict()["model"]["layers"] == study["model"]["layers"]


def test_without_a_diagnosis_the_command_that_makes_one_is_said(tmp_path: Path) -> None:
    page = Parsed(page_of(made_run(tmp_path, diagnosed=False)))
    assert sections_in(page) == ["ranking", "causes", "tensors", "all-tensors", "provenance"]
    assert f"calibrant diagnose {tmp_path}" in page.text


def test_a_run_of_an_older_version_has_no_histograms(tmp_path: Path) -> None:
    made_run(tmp_path, diagnosed=False)
    (tmp_path / "statistics.npz").unlink()
    (tmp_path / "request.json").unlink()
    page = Parsed(page_of(tmp_path))
    assert sections_in(page) == ["ranking", "causes", "provenance"]


def test_the_command_to_repeat_it_is_the_request(tmp_path: Path) -> None:
    text = Parsed(page_of(made_run(tmp_path))).text
    calib = Path("calibration images").absolute()
    assert f"--calib '{calib}'" in text
    assert "--calibrators minmax,mse,entropy2" in text


def test_every_plot_has_words_and_a_table_behind_it(tmp_path: Path) -> None:
    page = Parsed(page_of(made_run(tmp_path)))
    drawn = [attributes for attributes in page.with_name("div") if "data-plot" in attributes]
    assert [attributes["data-plot"] for attributes in drawn] == [str(n) for n in range(len(page.plots))]
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in drawn)
    assert len(page.with_name("table")) >= len(drawn)


def test_headings_go_down_one_level_at_a_time(tmp_path: Path) -> None:
    page = Parsed(page_of(made_run(tmp_path)))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_ids_are_unique_and_links_lead_to_them(tmp_path: Path) -> None:
    page = Parsed(page_of(made_run(tmp_path)))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag in ("a", "use")]
    assert len(links) > len(EVERY_SECTION)
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_only_our_scripts_may_run_and_nothing_may_be_loaded(tmp_path: Path) -> None:
    page = Parsed(page_of(made_run(tmp_path)))
    policies = [m["content"] or "" for m in page.with_name("meta") if m.get("http-equiv")]
    (policy,) = policies
    hashes = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts[1:]}
    assert set(re.findall(r"sha256-([^']+)'", policy)) == hashes
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy
    assert not [attributes for _, attributes in page.tags if "src" in attributes]
    loaded = [attributes["href"] or "" for tag, attributes in page.tags if tag in ("link", "image")]
    assert all(address.startswith("data:image/jpeg;base64,") for address in loaded)
    assert loaded


HOSTILE = "</script><script>alert(1)</script>"
EVIL = Names(
    model=f"models/{HOSTILE}\"'.onnx",
    tensors=tuple(f"{HOSTILE}\"' onmouseover=alert(1) `{n}" for n in range(12)),
    classes=('"><img src=x onerror=alert(1)>', "\u202e\u05d0\u05d1 {{ 7 * 7 }}", "</svg>'\""),
    image="--><svg onload=alert(1)>.jpg",
)


def test_names_from_files_are_shown_and_never_obeyed(tmp_path: Path) -> None:
    honest = Parsed(page_of(made_run(tmp_path / "honest")))
    evil = Parsed(page_of(made_run(tmp_path / "evil", EVIL)))
    # The same elements with the same names of attributes (code marks aside): nothing was added by a name.
    assert shape_of(evil) == shape_of(honest)
    assert len(evil.scripts) == len(honest.scripts)
    assert EVIL.image in evil.text
    assert "{{ 7 * 7 }}" in evil.text
    assert EVIL.tensors[0] in json.dumps(evil.plots, ensure_ascii=False).replace('\\"', '"')


def shape_of(page: Parsed) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(attributes)) for tag, attributes in page.tags if tag != "code"]


def shown(content: Any) -> Any:
    """Text as people are shown it: what would steer a terminal or turn text around is escaped."""
    if isinstance(content, list):
        return [shown(item) for item in content]
    return printable_lines(content) if isinstance(content, str) else content


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=4)))
def test_data_in_a_script_means_the_same_and_cannot_end_it(content: Any) -> None:
    text = str(_script_safe(content))
    assert json.loads(text) == shown(content)
    assert not set(text) & set("<>&\u2028\u2029")


def test_a_large_model_stays_below_five_megabytes(tmp_path: Path) -> None:
    tensors = tuple(f"/model.{n}/a/rather/long/name/Conv_output_0" for n in range(12))
    material = load_material(made_run(tmp_path, replace(Names(), tensors=tensors)))
    assert material.diagnosis is not None
    large = replace(material.diagnosis, tensors=material.diagnosis.tensors * 125)
    page = report_html(replace(material, diagnosis=large))
    assert "1500 tensors under 2 candidates" in page
    assert len(page.encode()) < 5 * MEGABYTE


def test_of_a_huge_model_the_worst_tensors_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibrant.reports.html.sections.tensors._MOST_ROWS", 10)
    page = Parsed(page_of(made_run(tmp_path)))
    assert "the 5 of 12 tensors with the lowest SQNR" in page.text


def test_the_photographs_keep_to_their_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("calibrant.reports.tasks.pictures"), "_BUDGET", 10)
    page = Parsed(page_of(made_run(tmp_path)))
    assert not page.with_name("image")
    assert "the image itself is not at hand" in page.text
    assert "lost: bicycle 0.55" in page.text


def test_images_that_are_gone_leave_their_boxes(tmp_path: Path) -> None:
    made_run(tmp_path)
    (tmp_path / "photo.png").unlink()
    page = Parsed(page_of(tmp_path))
    assert not page.with_name("image")
    assert "lost: bicycle 0.55" in page.text


def test_a_study_in_which_all_failed_says_why(tmp_path: Path) -> None:
    made_run(tmp_path, diagnosed=False)
    content = read_json(tmp_path / "study.json")
    for trial in content["trials"]:
        trial.update(
            status="failed", reason="the runtime said <no>", drop=None, drop_ci95=None, map50_95=None
        )
    write_json(tmp_path / "study.json", {**content, "recommended": None})
    page = Parsed(page_of(tmp_path))
    assert "No candidate could be measured" in page.text
    assert "the runtime said <no>" in page.text


def test_a_stopped_candidate_has_a_mark_of_its_own(tmp_path: Path) -> None:
    made_run(tmp_path, diagnosed=False)
    content = read_json(tmp_path / "study.json")
    content["trials"][2].update(status="stopped", images=60)
    write_json(tmp_path / "study.json", content)
    page = Parsed(page_of(tmp_path))
    assert [row["mark"] for row in page.plots[0]["rows"]] == ["recommended", "tied", "stopped"]


@pytest.mark.parametrize("name", ["coverage.json", "optimization.json", "diagnosis.json"])
def test_a_file_of_another_version_is_named(name: str, tmp_path: Path) -> None:
    made_run(tmp_path)
    write_json(tmp_path / name, {"schema_version": 99})
    with pytest.raises(DataError, match=rf"{name} has schema version 99, not 1 or 2; "):
        load_material(tmp_path)


def test_exact_twins_are_one_row_and_what_to_run_next_is_a_sentence(tmp_path: Path) -> None:
    study = made_study(tmp_path, Names())
    twin = replace(study.trial("minmax"), calibrator="entropy", same_as="minmax")
    advice = ("this is a lot: more than 3.0 points", "calibrant optimize RUN: a model that loses less")
    study = replace(study, trials=(*study.trials, twin), advice=advice)
    folder = made_run(tmp_path / "run")
    write_json(folder / RESULT, study.to_dict())
    text = Parsed(page_of(folder)).text
    assert "minmax = entropy" in text
    assert "This is a lot: more than 3.0 points." in text
