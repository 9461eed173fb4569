"""From an image of a line to its text: characters, preprocessing, CTC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibrant.core.errors import DataError, ModelError, SettingsError
from calibrant.tasks.media.texts import Normalisation, edits_between
from calibrant.tasks.recognition.characters import Characters, characters_in, read_characters
from calibrant.tasks.recognition.ctc import best_path
from calibrant.tasks.recognition.preprocess import LineInput, prepared

TABLE = ("", "a", "b", " ")


def _scores(path: list[int]) -> NDArray[np.float32]:
    return np.eye(len(TABLE), dtype=np.float32)[path] * np.float32(0.9)


def test_repeats_are_one_character_unless_a_blank_is_between() -> None:
    line = best_path(_scores([0, 1, 1, 0, 1, 2, 2, 3, 0]), TABLE)
    assert line.text == "aab "
    assert line.confidence == pytest.approx(0.9, abs=1e-6)


def test_blanks_alone_are_no_text() -> None:
    assert best_path(_scores([0, 0, 0]), TABLE) == best_path(_scores([0]), TABLE)
    assert best_path(_scores([0]), TABLE).text == ""


@pytest.mark.parametrize(
    ("listed", "classes", "table"),
    [
        (("a", "b"), 4, ("", "a", "b", " ")),  # PaddleOCR: blank first, space last
        (("a", "b"), 3, ("", "a", "b")),  # use_space_char: false
        (("blank", "a", "b", " "), 4, ("", "a", "b", " ")),  # the key file of PP-OCRv5 in a wheel
        (("blank", "a", "b"), 4, ("", "a", "b", " ")),
    ],
)
def test_blank_and_space_are_put_where_paddleocr_has_them(
    listed: tuple[str, ...], classes: int, table: tuple[str, ...]
) -> None:
    assert Characters(listed, "keys").for_classes(classes) == table


def test_characters_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="9 classes but keys lists 2 characters"):
        Characters(("a", "b"), "keys").for_classes(9)


def test_a_list_is_split_at_line_feeds_only() -> None:
    """Lists hold the ideographic space and line separators, which str.splitlines takes for ends."""
    listed = characters_in({"character": "a\n\u3000\n\u2028\nb\n"})
    assert listed is not None
    assert listed.listed == ("a", "\u3000", "\u2028", "b")
    assert characters_in({"names": "a"}) is None


def test_key_files_are_text_or_paddleocrs_configuration(tmp_path: Path) -> None:
    keys, config, wrong = (tmp_path / name for name in ("keys.txt", "inference.yml", "other.yml"))
    keys.write_text("a\r\nß\r\n", encoding="utf-8", newline="")
    config.write_text("PostProcess:\n  character_dict:\n  - a\n  - ß\n  - '1'\n", encoding="utf-8")
    wrong.write_text("Global: {}\n", encoding="utf-8")
    assert read_characters(keys).listed == ("a", "ß")
    assert read_characters(config).listed == ("a", "ß", "1")
    with pytest.raises(DataError, match="character_dict"):
        read_characters(wrong)


@pytest.mark.parametrize(
    ("height", "width", "shape", "total", "squares", "at_16"),
    [  # rapidocr 3.10.0, TextRecognizer.resize_norm_img with rec_img_shape [3, 48, 320], OpenCV 5.0
        (20, 70, (1, 3, 48, 320), -107.709249, 3772.488965, (-0.364706, -0.443137, 0.027451)),
        (30, 400, (1, 3, 48, 640), -644.146899, 13914.206175, (0.356863, 0.043137, -0.505882)),
        (61, 17, (1, 3, 48, 320), 17.858871, 290.44634, (0.0, 0.0, 0.0)),
    ],
)
def test_the_input_is_rapidocrs(
    height: int, width: int, shape: tuple[int, ...], total: float, squares: float, at_16: tuple[float, ...]
) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    tensor = prepared(image, LineInput(3, 48, None, 320))
    assert tensor.shape == shape
    assert float(tensor.sum(dtype=np.float64)) == pytest.approx(total, abs=1e-4)
    assert float((tensor.astype(np.float64) ** 2).sum()) == pytest.approx(squares, abs=1e-4)
    assert tensor[0, :, 10, 16] == pytest.approx(at_16, abs=1e-6)


def test_a_fixed_width_squeezes_long_lines_only() -> None:
    to = LineInput(1, 32, 100, 320)
    long, short = np.full((10, 90, 3), 255, np.uint8), np.full((32, 40, 3), 255, np.uint8)
    assert (prepared(long, to) == 1).all()
    tensor = prepared(short, to)
    assert tensor.shape == (1, 1, 32, 100)
    assert (tensor[..., :40] == 1).all()
    assert (tensor[..., 40:] == 0).all()


def test_edits_are_the_fewest_by_kind() -> None:
    edits = edits_between("kitten", "sitting")
    assert (edits.substituted, edits.missed, edits.invented, edits.count) == (2, 0, 1, 3)
    assert edits_between("abc", "").missed == 3


@given(st.text(max_size=8), st.text(max_size=8), st.text(max_size=8))
def test_edits_are_a_distance(a: str, b: str, c: str) -> None:
    assert edits_between(a, b).count == edits_between(b, a).count
    assert edits_between(a, c).count <= edits_between(a, b).count + edits_between(b, c).count
    assert (edits_between(a, b).count == 0) == (a == b)


def test_normalisation_is_a_list_of_steps() -> None:
    assert Normalisation("nfkc,casefold,no-spaces")("\uff21\uff22  \uff43\uff1a") == "abc:"
    assert Normalisation("letters-digits")("a-1 b") == "a1b"
    assert Normalisation()("\uff21 ") == "\uff21 "
    with pytest.raises(SettingsError, match="not normalised by 'lower'"):
        Normalisation("nfkc,lower")
