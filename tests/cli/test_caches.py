"""``calibrant cache`` and ``calibrant migrate`` as users call them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from outcomes import Run
from toy_detector import detector, saved

from calibrant.models.onnx.model import load_model
from calibrant.models.onnx.rules import Violation, violations

HEADER = "TRT-8501-EntropyCalibration2"
LINES = "images: 3c010a14\nhue: 3f000000\nodd: name: 3e800000\nempty: 0\n"


@pytest.fixture
def cache(work: Path) -> Path:
    """``a.cache`` in the current folder, with scales for the toy detector."""
    (work / "a.cache").write_text(f"{HEADER}\n{LINES}")
    return work / "a.cache"


def other_cache(cache: Path, **changes: str) -> Path:
    """``b.cache``: the same, with lines replaced, or dropped where the new hex is empty."""
    lines = dict(line.rsplit(": ", 1) for line in LINES.splitlines())
    merged = {**lines, **changes}
    path = cache.with_name("b.cache")
    path.write_text("\n".join([HEADER, *(f"{name}: {hex_}" for name, hex_ in merged.items() if hex_)]) + "\n")
    return path


class TestShow:
    def test_lists_the_scales_in_their_order(self, run: Run, cache: Path) -> None:
        lines = run("cache", "show", cache).out.splitlines()
        assert lines[0] == "a.cache: entropy2, TensorRT 8.5.1, 4 tensors"
        assert lines[1].split() == ["scale", "threshold", "hex", "tensor"]
        assert lines[2].split() == ["0.007875938", "1.000244", "3c010a14", "images"]
        assert [line.split(None, 3)[3] for line in lines[2:6]] == ["images", "hue", "odd: name", "empty"]
        assert lines[6].startswith("scales of 0: 1, e.g. empty;")

    def test_as_json_is_what_to_json_prints(self, run: Run, cache: Path) -> None:
        shown = json.loads(run("cache", "show", cache, "--json").out)
        assert shown == json.loads(run("cache", "to-json", cache).out)
        assert shown["tensors"]["hue"] == {"scale": 0.5, "threshold": 63.5, "hex": "3f000000"}

    def test_a_version_that_the_header_leaves_open(self, run: Run, cache: Path) -> None:
        cache.write_text(f"TRT-8XXX-EntropyCalibration2\n{LINES}")
        assert "entropy2, TensorRT of unknown version, 4 tensors" in run("cache", "show", cache).out
        assumed = run("cache", "show", cache, "--assume-version", "8.6.1").out
        assert "entropy2, TensorRT 8.6.1, 4 tensors" in assumed
        assert json.loads(run("cache", "show", cache, "--json").out)["tensorrt"] is None

    def test_a_cache_without_scales_is_told(self, run: Run, cache: Path) -> None:
        cache.write_text(f"{HEADER}\n")
        assert "the cache holds no scales" in run("cache", "show", cache).out

    def test_every_scale_that_is_not_finite_is_listed(self, run: Run, cache: Path) -> None:
        cache.write_text(f"{HEADER}\nfine: 3c010a14\nodd: 7fc00000\nfar: 7f800000\n")
        shown = run("cache", "show", cache).out
        assert "no finite positive scale: odd has nan" in shown
        assert "no finite positive scale: far has inf" in shown
        assert "scales that nothing can use: 2 of 3" in shown
        described = json.loads(run("cache", "show", cache, "--json").out)
        assert described["unfit"] == ["odd", "far"]
        assert described["tensors"]["odd"] == {"scale": None, "threshold": None, "hex": "7fc00000"}

    def test_names_cannot_play_with_the_terminal(self, run: Run, cache: Path) -> None:
        cache.write_text(f"{HEADER}\n\x1b[31mred: 1\n")
        assert "\x1b" not in run("cache", "show", cache).out

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("hello\n", "a.cache is no TensorRT calibration cache: it begins with 'hello'"),
            (f"{HEADER}\nx: 1\nx: 2\n", "a.cache, line 3: 'x' appears twice"),
            (f"{HEADER}\nx: 3c0", "a.cache ends inside a line"),
        ],
    )
    def test_a_broken_file_is_one_line(self, run: Run, cache: Path, content: str, words: str) -> None:
        cache.write_text(content)
        assert words in run("cache", "show", cache).error


class TestDiff:
    def test_equal_scales_are_no_difference(self, run: Run, cache: Path) -> None:
        same = cache.with_name("b.cache")
        same.write_bytes(cache.read_bytes().replace(b"TRT-8501", b"TRT-100300").replace(b"\n", b"\r\n"))
        outcome = run("cache", "diff", cache, same)
        assert (outcome.code, outcome.out) == (
            0,
            "0 of 4 common tensors changed; 0 only in A, 0 only in B\n",
        )

    def test_changes_are_sorted_and_one_sided_tensors_listed(self, run: Run, cache: Path) -> None:
        other = other_cache(cache, images="3c010a15", hue="3f400000", empty="", new="1")
        outcome = run("cache", "diff", cache, other)
        assert outcome.code == 1
        rows = [line.split() for line in outcome.out.splitlines()]
        assert rows[1] == ["+50.000%", "0.5", "0.75", "hue"]
        assert rows[2] == ["+0.000%", "0.007875938", "0.007875939", "images"]
        assert rows[3:5] == [["only", "in", "A", "empty"], ["only", "in", "B", "new"]]
        assert outcome.out.endswith(
            "2 of 3 common tensors changed, the most +50.000%; 1 only in A, 1 only in B\n"
        )

    @pytest.mark.parametrize(("threshold", "code"), [("0.49", 1), ("0.5", 0), ("2", 0)])
    def test_the_threshold_decides_the_exit_code(
        self, run: Run, cache: Path, threshold: str, code: int
    ) -> None:
        other = other_cache(cache, hue="3f400000", new="1")
        outcome = run("cache", "diff", cache, other, "--threshold", threshold)
        assert outcome.code == code
        assert ("  hue" in outcome.out) == bool(code), "only what counts is listed"
        assert "changed, the most +50.000%, " in outcome.out
        found = json.loads(run("cache", "diff", cache, other, "--threshold", threshold, "--json").out)
        assert found["differs"] == bool(code)
        assert found["changed"][0]["tensor"] == "hue"
        assert found["changed"][0]["relative"] == 0.5
        assert found["only_after"] == ["new"]

    def test_a_scale_that_was_zero_exceeds_every_threshold(self, run: Run, cache: Path) -> None:
        outcome = run("cache", "diff", cache, other_cache(cache, empty="1"), "--threshold", "1e9")
        assert outcome.code == 1
        assert "from 0" in outcome.out

    def test_caches_of_different_models_are_refused(self, run: Run, cache: Path) -> None:
        other = cache.with_name("b.cache")
        other.write_text(f"{HEADER}\nsomething: 1\n")
        assert "have no tensor in common" in run("cache", "diff", cache, other, "--threshold", "0.1").error


class TestConvert:
    @pytest.mark.parametrize(
        ("options", "header"),
        [
            (["--tensorrt", "10.3", "--algorithm", "entropy2"], "TRT-100300-EntropyCalibration2"),
            (["--tensorrt", "10.3"], "TRT-100300-EntropyCalibration2"),
            (["--tensorrt", "8.6.1.6", "--algorithm", "minmax"], "TRT-8601-MinMaxCalibration"),
            (["--tensorrt", "8.5.1.7", "--algorithm", "legacy"], "0 3ff0000000000000 3fefff2e48e8a71e"),
            (
                ["--tensorrt", "8.5.1", "--algorithm", "legacy", "--quantile", "0.5", "--cutoff", "0"],
                "0 0 3fe0000000000000",
            ),
        ],
    )
    def test_only_the_header_changes(self, run: Run, cache: Path, options: list[str], header: str) -> None:
        outcome = run("cache", "convert", cache, *options, "-o", "b.cache")
        assert outcome.out == f"b.cache: {header}, 4 tensors\n"
        assert Path("b.cache").read_text() == f"{header}\n{LINES}"

    def test_a_legacy_cache_keeps_its_quantile(self, run: Run, cache: Path) -> None:
        cache.write_text("0 0 3fe0000000000000\nx: 1\n")
        run("cache", "convert", cache, "--tensorrt", "10.3", "-o", cache)
        assert cache.read_text() == "0 0 3fe0000000000000\nx: 1\n"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--tensorrt", "11.0"], "TensorRT 11.0 has no calibrators"),
            (["--tensorrt", "ten"], "'ten' is no TensorRT version"),
            (["--tensorrt", "10.3", "--quantile", "0.5"], "quantile and cutoff belong to algorithm legacy"),
            (["--tensorrt", "10.3", "--algorithm", "mse"], "'mse' is not one of"),
        ],
    )
    def test_what_tensorrt_lacks_is_refused(
        self, run: Run, cache: Path, options: list[str], words: str
    ) -> None:
        assert words in run("cache", "convert", cache, *options, "-o", "b.cache").error
        assert not Path("b.cache").exists()


class TestJson:
    def test_there_and_back_is_byte_exact(self, run: Run, cache: Path) -> None:
        assert run("cache", "to-json", cache, "-o", "a.json").out == "a.json: 4 tensors\n"
        assert run("cache", "from-json", "a.json", "-o", "b.cache").out == f"b.cache: {HEADER}, 4 tensors\n"
        assert Path("b.cache").read_bytes() == cache.read_bytes()

    def test_an_edit_in_one_place_only_is_refused(self, run: Run, cache: Path) -> None:
        content = json.loads(run("cache", "to-json", cache).out)
        content["tensors"]["hue"]["scale"] = 0.25
        Path("a.json").write_text(json.dumps(content))
        assert "tensor 'hue': scale is 0.25" in run("cache", "from-json", "a.json", "-o", "b.cache").error
        del content["tensors"]["hue"]["hex"], content["tensors"]["hue"]["threshold"]
        Path("a.json").write_text(json.dumps(content))
        assert run("cache", "from-json", "a.json", "-o", "b.cache", "--json").code == 0
        assert "\nhue: 3e800000\n" in Path("b.cache").read_text()

    @pytest.mark.shared
    def test_tensorrts_own_caches_too(self, run: Run, work: Path, shared: Path) -> None:
        caches = sorted((shared / "tensorrt" / "caches-8.5.1.7").glob("*.cache"))
        assert caches
        for path in caches:
            run("cache", "to-json", path, "-o", "a.json")
            run("cache", "from-json", "a.json", "-o", "b.cache")
            assert Path("b.cache").read_bytes() == path.read_bytes()


class TestMigrate:
    def test_makes_a_model_that_keeps_the_rules(self, run: Run, cache: Path) -> None:
        outcome = run("migrate", "m.onnx", "--cache", cache, "-o", "q.onnx", "--check", "rules")
        assert outcome.code == 0
        lines = outcome.out.splitlines()
        assert lines[0] == (
            "q.onnx: 2 activations and 2 weights in int8, from a.cache (entropy2, TensorRT 8.5.1)"
        )
        assert lines[1] == "tensors of the cache that are not in the model: 2, e.g. odd: name, empty"
        assert lines[2].startswith("check: keeps ")
        onnx.checker.check_model("q.onnx", full_check=True)

    def test_as_json(self, run: Run, cache: Path) -> None:
        outcome = run("migrate", "m.onnx", "--cache", cache, "-o", "q.onnx", "--check", "rules", "--json")
        found = json.loads(outcome.out)
        assert (found["format"], found["version"]) == ("calibrant.migration", 1)
        assert (found["activations"], found["weights"], found["unknown"]) == (2, 2, ["odd: name", "empty"])
        assert found["check"]["passed"] is True

    def test_missing_scales_need_a_word(self, run: Run, cache: Path) -> None:
        other = other_cache(cache, hue="")
        refused = run("migrate", "m.onnx", "--cache", other, "-o", "q.onnx")
        assert "1 of 2 quantized tensors of m.onnx have no scale in b.cache, e.g. 'hue'" in refused.error
        assert not Path("q.onnx").exists()
        outcome = run("migrate", "m.onnx", "--cache", other, "-o", "q.onnx", "--allow-missing")
        assert (
            "layers left in float, because their input has no scale in the cache: 1, e.g. head" in outcome.out
        )

    def test_keep_float_is_repeatable(self, run: Run, cache: Path) -> None:
        saved(detector(opset=11), Path("old.onnx"))
        outcome = run("migrate", "old.onnx", "--cache", cache, "-o", "q.onnx", "--exclude", "head",
                      "--check", "rules")  # fmt: skip
        assert outcome.out.startswith("q.onnx: 1 activations and 1 weights in int8")
        refused = run("migrate", "old.onnx", "--cache", cache, "-o", "q.onnx", "--exclude", "head",
                      "--exclude", "colour")  # fmt: skip
        assert "nothing in old.onnx is quantized" in refused.error

    def test_a_refusal_by_the_check_is_exit_code_1_and_keeps_the_file(
        self, run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = Violation("a rule", "head", "hue", "is too good", "make it worse")
        monkeypatch.setattr("calibrant.studies.checks.violations", lambda _: (broken,))
        outcome = run("migrate", "m.onnx", "--cache", cache, "-o", "q.onnx", "--check", "rules")
        assert outcome.code == 1
        assert outcome.out.endswith(
            "check: breaches of TensorRT's rules: 1\n  'head' ('hue') is too good; make it worse\n"
        )
        assert Path("q.onnx").is_file()


def test_every_candidate_of_calibrate_keeps_tensorrts_rules(run: Run, work: Path) -> None:
    assert run("calibrate", "m.onnx", "--calib", "calib", "--out", "out").code == 0
    candidates = sorted((work / "out").glob("*.qdq.onnx"))
    assert len(candidates) >= 8
    for path in candidates:
        assert violations(load_model(path).ir) == (), path.name


def test_what_calibrate_writes_can_be_migrated_to_the_same_model(run: Run, work: Path) -> None:
    run("calibrate", "m.onnx", "--calib", "calib", "--out", "out", "--calibrators", "entropy2")
    outcome = run("migrate", "m.onnx", "--cache", "out/entropy2.cache", "-o", "q.onnx")
    assert outcome.code == 0
    assert Path("q.onnx").read_bytes() == (work / "out" / "entropy2.qdq.onnx").read_bytes()
