"""Lines of text drawn for the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibrant.core.errors import SettingsError
from calibrant.demo.line import drawn_line
from calibrant.demo.line_files import render_lines
from calibrant.tasks.recognition.labels import open_labels


def test_a_line_is_as_wide_as_its_text_and_is_drawn_again_alike() -> None:
    lines = [drawn_line(np.random.default_rng([7, index])) for index in range(40)]
    again = [drawn_line(np.random.default_rng([7, index])) for index in range(40)]
    assert [line.text for line in lines] == [line.text for line in again]
    assert all((one.image == two.image).all() for one, two in zip(lines, again, strict=True))
    # Cut off at an edge, a line would be narrower than its characters need.
    assert all(0.2 < line.image.shape[1] / line.image.shape[0] / len(line.text) < 1 for line in lines)
    assert len({line.text for line in lines}) == 40


def test_files_are_read_by_the_task_and_no_line_is_in_both(tmp_path: Path) -> None:
    data = render_lines(tmp_path, test_lines=5, calibration_lines=4, seed=1)
    labelled = open_labels(data.dataset).samples
    assert len(labelled) == 5
    assert all(sample.text == sample.text.strip() and sample.text for sample in labelled)
    images = [path.read_bytes() for path in [*data.calibration.iterdir(), *data.dataset.parent.glob("*.png")]]
    assert len(set(images)) == 9


def test_none_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="0 test and 1 calibration lines"):
        render_lines(tmp_path / "none", test_lines=0, calibration_lines=1, seed=0)
