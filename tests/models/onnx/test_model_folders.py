"""Folders of models as exporters lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrant.core.errors import DataError, ModelError
from calibrant.models.onnx.model_folders import model_folder


def folder_of(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"")
    return path


# The parts as they are to be found, and what lies beside them and is none.
LAYOUTS = """
encoder=encoder_model decoder=decoder_model
encoder=encoder_model decoder=decoder_model decoder_with_past=decoder_with_past_model
encoder=encoder_model decoder=decoder_model_merged | decoder_model decoder_with_past_model
encoder=encoder_model decoder=decoder_model_merged | encoder_model_quantized decoder_model_merged_fp16
encoder=tiny.en-encoder decoder=tiny.en-decoder | tiny.en-encoder.int8
encoder=encoder-epoch-99-avg-1 decoder=decoder-epoch-99-avg-1 joiner=joiner-epoch-99-avg-1
det=ch_PP-OCRv4_det_infer cls=ch_ppocr_mobile_v2.0_cls_infer rec=ch_PP-OCRv4_rec_infer
det=PP-OCRv5_server_det/inference rec=PP-OCRv5_server_rec/inference
acoustic=model-steps-3 vocoder=vocos-22khz-univ
encoder=onnx/encoder_model decoder=onnx/decoder_model
model=en_US-joe-medium
encoder=encoder decoder=decoder
"""


@pytest.mark.parametrize("layout", LAYOUTS.strip().splitlines())
def test_names_tell_the_parts_in_the_order_of_data(layout: str, tmp_path: Path) -> None:
    told, _, left_out = layout.partition(" | ")
    parts = dict(pair.split("=") for pair in told.split())
    models = [f"{name}.onnx" for name in [*reversed(parts.values()), *left_out.split()]]
    folder_of(tmp_path, *models, "tokens.txt")
    found = model_folder(tmp_path)
    assert found is not None
    assert list(found.parts.items()) == [(part, tmp_path / f"{name}.onnx") for part, name in parts.items()]
    assert set(found.files) == {"tokens.txt"}


def test_a_file_is_no_folder_and_an_empty_folder_no_model(tmp_path: Path) -> None:
    assert model_folder(tmp_path) is None
    assert model_folder(folder_of(tmp_path, "m.onnx") / "m.onnx") is None


def test_a_description_names_parts_of_any_name(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.onnx", "b.onnx", "words.txt")
    (tmp_path / "pipeline.yaml").write_text(
        "task: speech\nparts: {front: b.onnx, back: a.onnx}\nfiles: {tokens.txt: words.txt}\n"
    )
    for path in (tmp_path, tmp_path / "pipeline.yaml"):
        found = model_folder(path)
        assert found is not None
        assert (list(found.parts), found.task) == (["front", "back"], "speech")
        assert found.files["tokens.txt"] == tmp_path / "words.txt"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["encoder.onnx", "thing.onnx"], "'thing.onnx' is none of the parts"),
        (["a-encoder.onnx", "b-encoder.onnx"], "have the name of the same part"),
    ],
)
def test_what_cannot_be_told_apart_is_to_be_named(names: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{said}.*pipeline.yaml"):
        model_folder(folder_of(tmp_path, *names))


def test_a_description_that_does_not_fit(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.onnx")
    description = tmp_path / "pipeline.yaml"
    for text in ("parts: {encoder: b.onnx}", "parts: []", "hello"):
        description.write_text(text)
        with pytest.raises(ModelError, match=r"not there|names no parts"):
            model_folder(tmp_path)
    description.write_text("{")
    with pytest.raises(DataError, match="no YAML"):
        model_folder(tmp_path)
