"""Written answers are compared by rules, by a function of the user's, by a program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calibrant.core.errors import DataError, SettingsError
from calibrant.tasks.generation.documents import Document
from calibrant.tasks.generation.scoring import scorer_named


def scored(rule: str, written: str, answer: str) -> float:
    scorer = scorer_named(rule, None, None)
    assert scorer is not None
    (found,) = scorer([Document("d", prompt="?", answer=answer)], [written])
    return found


@pytest.mark.parametrize(
    ("rule", "written", "answer", "score"),
    [
        ("exact", " forty \n two", "forty two", 1),
        ("exact", "forty-two", "forty two", 0),
        ("exact", "<think>is it 41?</think>\n42", "42", 1),
        ("numeric", "so 12 + 30 = 42.0 sheep", "42", 1),
        ("numeric", "1,042", "1042", 1),
        ("numeric", "it is 41", "42", 0),
        ("numeric", "none", "42", 0),
        ("choice", "A cat. The answer is C.", "C", 1),
        ("choice", "B) because A is wrong", "B", 1),
        ("choice", "B) because A is wrong", "A", 0),
        (r"regex:####\s*(\S+)", "first #### 3, then #### 4", "#### 4", 1),
        (r"regex:####\s*(\S+)", "#### 4", "4", 1),
        (r"regex:####\s*(\S+)", "4", "4", 0),
    ],
)
def test_rules(rule: str, written: str, answer: str, score: float) -> None:
    assert scored(rule, written, answer) == score


def test_a_program_is_given_a_line_and_gives_one(tmp_path: Path) -> None:
    script = tmp_path / "check.py"
    script.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    row = json.loads(line)\n"
        "    print(json.dumps({'score': float(row['answer'] in row['output'])}))\n"
    )
    documents = [Document(str(n), prompt="?", answer=answer) for n, answer in enumerate(("ja", "no"))]
    scorer = scorer_named(None, None, f"{sys.executable} {script}")
    assert scorer is not None
    assert scorer(documents, ["ja, gewiß", "yes"]) == [1, 0]
    script.write_text("import sys; sys.exit('no checker of mine')")
    with pytest.raises(DataError, match="ended with 1 and 0 lines for 2 documents: no checker of mine"):
        scorer(documents, ["a", "b"])
    script.write_text("print('maybe'); print('1')")
    with pytest.raises(DataError, match="wrote 'maybe'"):
        scorer(documents, ["a", "b"])


def test_a_function_is_called_with_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_answers.py").write_text(
        "def score(written, answer, document):\n    return len(written) / 4 if answer else 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    scorer = scorer_named(None, "my_answers:score", None)
    assert scorer is not None
    assert scorer([Document("d", prompt="?", answer="x")], ["ab"]) == [0.5]
    with pytest.raises(DataError, match=r"gave 2\.0; a score is from 0 to 1"):
        scorer([Document("d", prompt="?")], ["ab"])


def test_what_does_not_exist_is_refused() -> None:
    for rule, metric, checker, words in (
        ("fuzzy", None, None, "compared by exact, numeric, choice, lean, regex:PATTERN, not by 'fuzzy'"),
        ("regex:(", None, None, "is no regular expression"),
        (None, "nothing", None, "is no module:function"),
        (None, "no_such_module:score", None, "cannot be imported"),
        ("exact", None, "true", "scored in one way"),
    ):
        with pytest.raises(SettingsError, match=words):
            scorer_named(rule, metric, checker)
    scorer = scorer_named(None, None, "/no/such/program")
    assert scorer is not None
    with pytest.raises(SettingsError, match="cannot be started"):
        scorer([Document("d", prompt="?", answer="x")], ["y"])
