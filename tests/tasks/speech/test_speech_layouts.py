"""Every layout of a recognizer decodes what its graph says, with a cache or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_whisper import BEGIN, LAYOUTS, STACKED, WIDTH, free_batch, write_clips, write_whisper

import calibrant
from calibrant.core.errors import ModelError, SettingsError
from calibrant.core.tasks import MODEL, Reading
from calibrant.core.types import ModelSignature, TensorInfo
from calibrant.runtimes import runtime_named
from calibrant.stages.evaluate import predictions_of
from calibrant.studies.prepare import open_model
from calibrant.tasks.speech.ctc import KALDI, NEMO, SENSEVOICE, WAVEFORM, Ctc, Front, best_path, front_of
from calibrant.tasks.speech.transducer import Stateful, Stateless, transducer_of
from calibrant.tasks.speech.types import Transcript


def transcripts(folder: Path, clips: Path, /, **options: Any) -> list[Transcript]:
    opened = open_model(folder, options={"window": 2.0, **options})
    test = opened.test_set(str(clips), Reading())
    task = opened.task(test)
    with runtime_named("onnxruntime").open(opened.model.path) as session:
        return list(predictions_of(session, task, test.samples))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips") / "test", 6)


@pytest.fixture(scope="module")
def heard(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Transcript]:
    folder = write_whisper(tmp_path_factory.mktemp("models") / STACKED, STACKED)
    return transcripts(folder, clips)


def test_clips_are_heard_differently_and_end(heard: list[Transcript]) -> None:
    assert len({each.text for each in heard}) > 1
    assert any(each.heard.tokens and not each.heard.is_runaway for each in heard)
    assert all(token < 40 for each in heard for token in each.heard.tokens)


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_the_words_do_not_depend_on_the_cache(
    layout: str, heard: list[Transcript], clips: Path, tmp_path: Path
) -> None:
    found = transcripts(write_whisper(tmp_path / layout, layout), clips)
    assert [each.text for each in found] == [each.text for each in heard]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_clips_side_by_side_are_heard_as_each_alone(
    layout: str, heard: list[Transcript], clips: Path, tmp_path: Path
) -> None:
    folder = free_batch(write_whisper(tmp_path / layout, layout))
    for count in (2, 4, 6):  # of 6: also a batch that is not full
        assert transcripts(folder, clips, clips=count) == heard


def test_files_for_one_clip_do_not_take_several(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="leave --clips out"):
        transcripts(write_whisper(tmp_path / "w", STACKED), clips, clips=2)


def test_a_model_led_along_its_own_words_follows_them(clips: Path, tmp_path: Path) -> None:
    folder = write_whisper(tmp_path / "w", STACKED)
    result = calibrant.study(
        folder,
        clips,
        clips,
        out=tmp_path / "run",
        calibrators="minmax",
        window=2.0,
        led=True,
        diagnose_budget=0,
    )
    assert result.baseline.figures["top-1 led"] == 100
    assert [part.name for part in result.parts] == ["encoder", "decoder"]
    assert result.trial("decoder/minmax").figures["top-1 led"] is not None


def test_sounds_alone_are_compared_with_what_the_float_model_hears(clips: Path, tmp_path: Path) -> None:
    folder = write_whisper(tmp_path / "w", STACKED)
    result = calibrant.study(
        folder,
        clips,
        clips / "wavs",
        out=tmp_path / "run",
        calibrators="minmax",
        window=2.0,
        diagnose_budget=0,
    )
    assert result.baseline.score.value == 0
    assert any("no labels" in warning for warning in result.warnings)


def test_without_tokens_it_is_said_what_is_missing(clips: Path, tmp_path: Path) -> None:
    folder = write_whisper(tmp_path / "w", STACKED)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="give --tokens"):
        transcripts(folder, clips)


# --- one file --------------------------------------------------------------------------------------


def signature(inputs: Sequence[tuple[str, tuple[int | None, ...], str]], **metadata: str) -> ModelSignature:
    given = tuple(TensorInfo(name, shape, kind) for name, shape, kind in inputs)
    return ModelSignature(given, (TensorInfo("scores", (None, None, 30), "float32"),), {}, {}, metadata)


FRONTS = {
    WAVEFORM: signature([("input_values", (None, None), "float32")]),
    NEMO: signature([("audio_signal", (None, 80, None), "float32"), ("length", (None,), "int64")]),
    KALDI: signature([("x", (None, None, 80), "float32"), ("x_lens", (None,), "int64")]),
    SENSEVOICE: signature(
        [
            ("x", (None, None, 560), "float32"),
            ("x_length", (None,), "int32"),
            ("language", (None,), "int32"),
            ("text_norm", (None,), "int32"),
        ],
        lang_auto="0",
        without_itn="15",
        neg_mean=",".join(["-1"] * 560),
        inv_stddev=",".join(["0.5"] * 560),
    ),
}


SHAPES = {WAVEFORM: (1, 16000), NEMO: (1, 80, 100), KALDI: (1, 100, 80), SENSEVOICE: (1, 17, 560)}


@pytest.mark.parametrize(("kind", "shape"), SHAPES.items())
def test_a_second_becomes_the_models_input(kind: str, shape: tuple[int, ...]) -> None:
    front = front_of(FRONTS[kind])
    assert front is not None
    assert front.kind == kind
    feeds = front.feeds(np.random.default_rng(0).normal(size=16_000).astype(np.float32))
    assert set(feeds) == {info.name for info in FRONTS[kind].inputs}
    assert feeds[front.input].shape == shape
    if front.length:
        assert feeds[front.length].tolist() == [shape[2] if kind == NEMO else shape[1]]
    if kind == SENSEVOICE:
        assert feeds["text_norm"].tolist() == [15]


def test_repeats_and_blanks_are_left_out() -> None:
    classes = [0, 3, 3, 0, 3, 5, 5, 0]
    assert best_path(np.eye(6)[classes], 0) == (3, 3, 5)


@dataclass
class Fake:
    """A session that answers with what it is told, and keeps what it was fed."""

    answer: Any
    fed: list[Mapping[str, Any]] = field(default_factory=list)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        self.fed.append(feeds)
        found: Mapping[str, NDArray[Any]] = self.answer(feeds)
        return found

    def close(self) -> None: ...

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *why: object) -> None: ...


def test_ctc_reads_the_scores_of_its_only_file() -> None:
    ctc = Ctc(Front(WAVEFORM, "sound", 0), "scores", 5)
    session = Fake(lambda feeds: {"scores": np.eye(6)[None, [5, 1, 1, 5, 2]]})
    assert ctc.hear({MODEL: session}, np.ones(1000, np.float32)).tokens == (1, 2)


def test_a_stateless_transducer_says_one_token_a_step() -> None:
    # The encoder's step t is t; the joiner says a token at steps 1 and 3, which depends on the last one said.
    sessions = {
        "encoder": Fake(lambda feeds: {"out": np.arange(5, dtype=np.float32)[None, :, None]}),
        "decoder": Fake(lambda feeds: {"state": feeds["y"][:, -1:].astype(np.float32)}),
        "joiner": Fake(
            lambda feeds: {
                "logit": np.eye(9)[[int(feeds["d"][0, 0]) + 2 if feeds["e"][0, 0] in (1, 3) else 0]]
            }
        ),
    }
    model = Stateless(Front(KALDI, "x", 80), "y", ("e", "d"), 2, 0)
    assert model.hear(sessions, np.ones(16_000, np.float32)).tokens == (2, 4)
    assert [feeds["y"].tolist() for feeds in sessions["decoder"].fed] == [[[-1, 0]], [[0, 2]], [[2, 4]]]


def test_durations_skip_steps_and_states_go_on() -> None:
    # At step 0 token 1 and two steps on; at 2 the blank and one on; at 3 token 2 and none, then the blank.
    plan = {(0, 0): (1, 2), (2, 1): (4, 1), (3, 1): (2, 0), (3, 2): (4, 0)}
    seen: list[tuple[int, int]] = []

    def joined(feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        at, state = int(feeds["e"][0, 0, 0]), int(feeds["d"][0, 0, 0])
        seen.append((at, state))
        token, skip = plan[at, state]
        return {"outputs": np.concatenate([np.eye(5)[token], np.eye(3)[skip]])[None, None, None]}

    sessions = {
        "encoder": Fake(lambda feeds: {"outputs": np.arange(4, dtype=np.float32)[None, None]}),
        "decoder": Fake(
            lambda feeds: {
                "outputs": np.full((1, 1, 1), feeds["s"].sum(), np.float32),
                "next": feeds["s"] + np.float32(1),
            }
        ),
        "joiner": Fake(joined),
    }
    model = Stateful(Front(NEMO, "a", 80), ("t", "n", ("s",)), ("outputs", ("next",)), ("e", "d"), 5, (1, 1))
    assert model.hear(sessions, np.ones(16_000, np.float32)).tokens == (1, 2)
    assert seen == list(plan)


def test_a_transducers_layout_shows_by_its_decoder() -> None:
    encoder = FRONTS[KALDI]
    joiner = signature([("encoder_out", (None, 512), "float32"), ("decoder_out", (None, 512), "float32")])
    front = Front(KALDI, "x", 80)
    plain = signature([("y", (None, 2), "int64")])
    found = transducer_of({"encoder": encoder, "decoder": plain, "joiner": joiner}, front, 0)
    assert isinstance(found, Stateless)
    assert found.context == 2
    state = ("float32",)
    stateful = ModelSignature(
        tuple(
            TensorInfo(name, shape, kind)
            for name, shape, kind in [
                ("targets", (None, None), "int32"),
                ("target_length", (None,), "int32"),
                ("states.1", (2, None, 640), *state),
                ("onnx::Slice_3", (2, None, 640), *state),
            ]
        ),
        tuple(
            TensorInfo(name, (None,), "int32" if "lengths" in name else "float32")
            for name in ("outputs", "prednet_lengths", "states", "162")
        ),
        {},
        {},
    )  # fmt: skip
    nemo = transducer_of({"encoder": encoder, "decoder": stateful, "joiner": joiner}, front, 1024)
    assert isinstance(nemo, Stateful)
    assert (nemo.states, nemo.decoder_outputs, nemo.vocabulary) == (
        (2, 640),
        ("outputs", ("states", "162")),
        1025,
    )


def test_the_tiny_decoder_is_what_the_tests_think() -> None:
    assert WIDTH < BEGIN
