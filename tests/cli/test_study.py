"""``calibrant study``: what it writes, prints and recommends on a detector whose answer is known."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
from outcomes import Run
from toy_detector import CLASSES, SIDE, coco_labels, detector, saved, write_coco, write_images

from calibrant.api.arguments import new_run_folder
from calibrant.cli import main
from calibrant.studies.plan import StudySettings


def study_json(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    return content


def test_the_ranking_tells_what_happened(study: Run, work: Path) -> None:
    answer = study(calibrators="percentile:90,minmax,percentile:100")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    names = [line[3:].split()[0] for line in lines[1:5]]
    assert names == ["calibrator", "FP32", "minmax", "percentile:90"]
    recommended = next(line for line in lines if line.startswith("*"))
    assert recommended.split()[:7] == ["*", "minmax", "=", "percentile:100", "100.0", "100.0", "0.0"]
    assert lines[4].split()[1:4] == ["0.0", "0.0", "100.0"]
    assert "Use minmax: it loses 0.0 points" in answer.out
    assert "\x1b" not in answer.out  # plain, as nobody watches


def test_a_data_yaml_alone_is_enough(run: Run, work: Path) -> None:
    """Its train images calibrate; a set that names none asks for them."""
    squares = write_images(work / "set" / "images" / "val", 12, 1000)
    write_images(work / "set" / "images" / "train", 6, 7)
    (work / "set" / "labels" / "val").mkdir(parents=True)
    labels = coco_labels(squares, 1000)
    for label in labels["annotations"]:
        name = Path(labels["images"][label["image_id"]]["file_name"]).stem
        x, y, w, h = (value / SIDE for value in label["bbox"])
        with (work / "set" / "labels" / "val" / f"{name}.txt").open("a") as file:
            file.write(f"{label['category_id'] - 1} {x + w / 2} {y + h / 2} {w} {h}\n")
    yaml = work / "set" / "data.yaml"
    yaml.write_text(f"train: images/train\nval: images/val\nnames: {list(CLASSES)}\n")
    answer = run("study", "m.onnx", "--data", yaml, "--calibrators", "minmax", "--out", "runs/y")
    assert answer.code == 0, answer.err
    assert "calibration samples: the first 512 of" in answer.err
    content = study_json(work / "runs/y")
    assert (content["data"]["calibration_samples"], content["data"]["samples_in_both"]) == (6, 0)
    assert content["baseline"]["score"]["value"] == 100.0
    coco = run("study", "m.onnx", "--data", write_coco(work / "coco"), "--out", "runs/c")
    assert coco.code == 2
    assert "does not say what was trained on; give calibration samples" in coco.err


def test_study_json_holds_the_contract(study: Run, work: Path) -> None:
    assert study(calibrators="minmax,percentile:90", out="runs/one").code == 0
    content = study_json(work / "runs/one")
    assert content["schema_version"] == 2
    assert content["model"]["sha256"] == hashlib.sha256((work / "m.onnx").read_bytes()).hexdigest()
    assert (content["model"]["path"], content["model"]["family"]) == ("m.onnx", "yolov5")
    assert content["model"]["profile"]["input"]["pad"] == 114
    assert {"python", "onnxruntime", "calibrant", "cpu"} <= content["environment"].keys()
    data = content["data"]
    assert (data["test_samples"], data["calibration_samples"], data["samples_in_both"]) == (30, 4, 0)
    assert data["facts"]["classes"] == 2
    assert len(data["test_ids_sha256"]) == 64
    assert content["baseline"]["score"]["value"] == content["baseline"]["figures"]["map_small"] == 100
    assert content["baseline"]["figures"]["map_large"] is None
    assert content["recommended"]["calibrator"] == "minmax"
    assert "significantly better than all other" in content["recommended"]["reason"]
    fields = {"calibrator", "score", "figures", "loss", "recipe", "seconds", "status", "files"}
    assert content["metric"]["name"] == content["baseline"]["score"]["metric"] == "map50_95"
    for trial in content["trials"]:
        assert fields <= trial.keys()
        assert trial["status"] == "ok"
        assert trial["loss"]["value"] == 100 - trial["score"]["value"]
        assert trial["loss"]["low"] <= trial["loss"]["value"] <= trial["loss"]["high"]
        assert trial["files"]["cache"] == f"{trial['calibrator'].replace(':', '-')}.cache"
        assert (work / "runs/one" / trial["files"]["qdq"]).is_file()


def test_files_can_be_deployed(study: Run, work: Path) -> None:
    assert study().code == 0
    onnx.checker.check_model(str(work / "out/minmax.qdq.onnx"), full_check=True)
    ort.InferenceSession(str(work / "out/minmax.qdq.onnx"), providers=["CPUExecutionProvider"])
    lines = (work / "out/minmax.cache").read_text().splitlines()
    assert lines[0].startswith("TRT-")
    assert [line.split(": ")[0] for line in lines[1:]] == ["images", "hue"]


def test_json_is_all_that_stdout_gets(study: Run, work: Path) -> None:
    shutil.copy(work / "test/images/1000-07.png", work / "calib/renamed.png")  # worth a note on stderr
    answer = study("--json")
    assert answer.code == 0
    content = json.loads(answer.out)
    assert content.pop("out") == "out"
    assert content == study_json(work / "out")
    assert content["data"]["samples_in_both"] == 1
    assert answer.err.startswith("note: 1 of 30 test images are calibration images too, e.g. 1000-07.png;")
    assert content["warnings"] == [answer.err.removeprefix("note: ").rstrip("\n")]


def test_the_same_seed_gives_the_same_figures(study: Run, work: Path) -> None:
    figures = []
    for _ in range(2):
        assert study("--seed", 3, "--limit", 5, calibrators="percentile:99").code == 0
        content = study_json(work / "out")
        assert content["data"]["test_samples"] == 5
        figures.append(
            [(trial["key"], trial["score"]["value"], trial["loss"]) for trial in content["trials"]]
        )
    assert figures[0] == figures[1]


def test_without_out_a_run_has_its_own_folder(run: Run, work: Path) -> None:
    run("study", "m.onnx", "--calib", "calib", "--data", "test", "--calibrators", "minmax")
    (folder,) = (work / "runs").iterdir()
    assert folder.name.startswith("m-")
    assert (folder / "study.json").is_file()


def test_runs_of_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    class OneSecond(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> OneSecond:
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    monkeypatch.setattr("calibrant.api.arguments.datetime", OneSecond)
    made = []
    for _ in range(3):
        made.append(new_run_folder("m"))
        made[-1].mkdir(parents=True)
    first = made[0].name
    assert [path.name for path in made] == [first, f"{first}-2", f"{first}-3"]


def test_a_second_run_replaces_the_first_and_nothing_else(study: Run, work: Path) -> None:
    (work / "out").mkdir()
    (work / "out/notes.txt").write_text("mine")
    assert study().code == study("--limit", 30, calibrators="percentile:99.9").code == 0
    assert [trial["calibrator"] for trial in study_json(work / "out")["trials"]] == ["percentile:99.9"]
    assert (work / "out/notes.txt").read_text() == "mine"


def test_a_former_name_works_with_a_note(study: Run, work: Path) -> None:
    outcome = study("--keep-float", "colour")
    assert outcome.code == 0
    assert "note: --keep-float is called --exclude now; both work" in outcome.err
    assert study_json(work / "out")["model"]["kept_float"] == ["colour"]
    assert StudySettings.from_dict({"keep_float": ["colour"]}).exclude == ("colour",)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--exclude", "colour"], ["colour"]),
        (["--exclude", "h*"], ["head"]),
        (["--keep-head-float"], ["head"]),
        (["--exclude", "relu"], []),
    ],
)
def test_nodes_stay_in_float(study: Run, work: Path, options: list[str], kept: list[str]) -> None:
    assert study(*options).code == 0
    content = study_json(work / "out")
    assert content["model"]["kept_float"] == kept
    assert content["model"]["quantized_nodes"] == 2 - len(kept)
    model = onnx.load(work / "out/minmax.qdq.onnx")
    # A pair for the activation, and one for the weight.
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) == 2 * (2 - len(kept))


@pytest.mark.parametrize("opset", [11, 13, 20])
def test_any_opset_becomes_13_or_newer(study: Run, work: Path, opset: int) -> None:
    model = saved(detector(opset=opset), work / "m.onnx")
    assert study(model=model).code == 0
    assert study_json(work / "out")["trials"][0]["score"]["value"] == 100
    written = onnx.load(work / "out/minmax.qdq.onnx").opset_import
    assert [entry.version for entry in written if entry.domain == ""] == [max(opset, 13)]


def test_no_vendor_prints_anything(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ("study", "m.onnx", "--calib", "calib", "--data", "test", "--out", "out", "--keep-head-float")
    main([*arguments, "--calibrators", "minmax"])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("threshold", [0, 512])
def test_weights_outside_the_file(study: Run, run: Run, work: Path, threshold: int) -> None:
    onnx.save(
        detector(), work / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=threshold
    )
    assert study().code == 0
    assert study_json(work / "out")["trials"][0]["score"]["value"] == 100
    assert json.loads(run("evaluate", "m.onnx", "--data", "test", "--json").out)["map50_95"] == 100
    (work / "m.bin").unlink()
    assert "keeps weights in 'm.bin', which is missing" in study().error


def test_a_dynamic_model_is_given_its_size(study: Run, work: Path) -> None:
    saved(detector(side="side"), work / "open.onnx")
    assert "--input-shape" in study(model="open.onnx").error
    assert study("--imgsz", 64, model="open.onnx").code == 0
    assert study_json(work / "out")["baseline"]["score"]["value"] == 100
    assert "cannot take 128x128" in study("--imgsz", 128).error


def test_a_profile_describes_another_family(study: Run, work: Path) -> None:
    import calibrant.tasks.detection as detection

    known = Path(detection.__file__).parent / "profiles" / "yolov5.yaml"
    text = known.read_text().replace("name: yolov5", "name: mine").replace("colour: rgb", "colour: bgr")
    (work / "mine.yaml").write_text(text)
    answer = study("--family", "mine.yaml")
    assert answer.code == 4  # measured, and nothing can be recommended
    assert study_json(work / "out")["recommended"] is None
    assert "the float model itself has only 0.0 mAP" in study_json(work / "out")["unrecommended"]
    model = study_json(work / "out")["model"]
    assert (model["family"], model["profile"]["input"]["colour"]) == ("mine", "bgr")
    assert "the float model scores 0.0 mAP" in answer.err  # red is blue now


def test_unicode_paths(run: Run, work: Path) -> None:
    folder = work / "żółć 图像 🙂"
    folder.mkdir()
    (work / "m.onnx").rename(folder / "模型.onnx")
    (work / "calib").rename(folder / "ćalib")
    (work / "test").rename(folder / "têst")
    paths = ("--calib", folder / "ćalib", "--data", folder / "têst", "--out", folder / "öut")
    answer = run("study", folder / "模型.onnx", *paths, "--calibrators", "minmax", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["model"]["path"] == str(folder / "模型.onnx")
    assert (folder / "öut" / "minmax.qdq.onnx").is_file()


def test_nothing_beyond_the_loss_that_is_allowed_is_recommended(study: Run, work: Path) -> None:
    answer = study("--max-loss", 1, calibrators="percentile:90")
    assert answer.code == 4
    assert "Nothing to recommend: no candidate loses 1.0 points of mAP or less" in " ".join(
        answer.out.split()
    )
    assert "--max-loss 1" in answer.out
    assert study("--max-loss", 1, "--overwrite", calibrators="percentile:90,minmax").code == 0
    assert study_json(work / "out")["recommended"]["calibrator"] == "minmax"
