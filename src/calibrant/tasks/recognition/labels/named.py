"""Labels that name their image files, whatever the file around them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from calibrant.core.errors import DataError
from calibrant.tasks.media.files import inside, is_file, refuse_some
from calibrant.tasks.recognition.types import LabelledLines, LineSample


def lines_of(source: Path, rows: Sequence[tuple[str, str]]) -> LabelledLines:
    """Samples for (image name, text) rows; names are relative to the label file's folder.

    Rows without text are left out with a warning. Raises DataError for names that are missing or twice there.
    """
    paths = [(name, _place(source.parent, name), text) for name, text in rows]
    refuse_some(
        [name for name, count in Counter(name for name, _, _ in paths).items() if count > 1],
        len(rows),
        f"images are labelled more than once in '{source}'",
        "label each once",
    )
    refuse_some(
        [name for name, path, _ in paths if not is_file(path)],
        len(rows),
        f"images labelled in '{source}' do not exist",
        "names are relative to the label file's folder",
    )
    samples = tuple(LineSample(name, path, text) for name, path, text in paths if text)
    empty = len(paths) - len(samples)
    if empty and not samples:
        raise DataError(f"no line of '{source}' has a text; write image, a tab and the text")
    return LabelledLines(
        samples, (f"{empty} of {len(paths)} labels have no text and are left out",) if empty else ()
    )


def _place(folder: Path, name: str) -> Path:
    return Path(name) if Path(name).is_absolute() else inside(folder, name)
