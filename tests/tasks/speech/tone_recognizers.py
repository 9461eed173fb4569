"""Recognizers of every layout, as ONNX files, that tell tones apart: what they hear is known beforehand.

A clip is a row of tones with silence between; each of three tones is a word, and no word follows itself.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibrant.tasks.media.spectra import Fbank, nemo_mel
from calibrant.tasks.speech.ctc import Front

TONES = {"a": 500.0, "b": 1500.0, "c": 3400.0}
RATE, VOCABULARY = 16_000, 12
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64
STATES = 16  # of Parakeet's decoder; the vocabulary fits


def tone(frequency: float, seconds: float) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def sound_of(text: str, seed: int = 0) -> NDArray[np.float32]:
    return labelled_sound(text, seed)[0]


def labelled_sound(text: str, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A sound, and for each of its samples the number of the word that is heard, from 1 on; 0: silence."""
    rng = np.random.default_rng(seed)
    silence = np.zeros(int(0.15 * RATE), np.float32)
    parts, heard = [silence], [np.zeros(len(silence), np.int64)]
    for word in text.split():
        parts += [tone(TONES[word], rng.uniform(0.2, 0.35)), silence]
        heard += [np.full(len(parts[-2]), 1 + list(TONES).index(word)), heard[0]]
    whole = np.concatenate(parts)
    noise = rng.normal(scale=1e-3, size=len(whole))
    return np.asarray(whole + noise, np.float32), np.concatenate(heard)


def random_text(rng: np.random.Generator) -> str:
    """All words, as NeMo's features are compared with those of the whole clip, and some again."""
    words = [str(word) for word in rng.permutation(list(TONES))]
    for _ in range(int(rng.integers(0, 4))):
        words.append(str(rng.choice([word for word in TONES if word != words[-1]])))
    return " ".join(words)


def write_clips(folder: Path, count: int, seed: int = 0) -> Path:
    """LJSpeech's layout; the words are random."""
    (folder / "wavs").mkdir(parents=True)
    rng, lines = np.random.default_rng(seed), []
    for number in range(count):
        text, name = random_text(rng), f"c{seed}-{number}"
        with wave.open(str(folder / "wavs" / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            sound = sound_of(text, seed * 1000 + number) * 32767
            file.writeframes(sound.clip(-32768, 32767).astype("<i2").tobytes())
        lines.append(f"{name}|{text}|{text}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_tokens(folder: Path, blank_is_last: bool) -> None:
    """tokens.txt: the words with Sentencepiece's sign of a space, and names that no sound has."""
    words = [f"▁{word}" for word in TONES]
    others = [f"<unused{number}>" for number in range(VOCABULARY - 1 - len(words))]
    tokens = [*words, *others, "<blk>"] if blank_is_last else ["<blk>", *words, *others]
    (folder / "tokens.txt").write_text("".join(f"{token} {at}\n" for at, token in enumerate(tokens)))


def listening(
    features: Callable[[NDArray[np.float32]], NDArray[np.float32]], first: int, silence: float = 0.3
) -> dict[str, Any]:
    """Weights and biases of scores by frame, by the features of each tone and of silence (least squares).

    features: of a sound, (T, C). first: the number of the first word. silence: added to its score, so that it
    wins where a word begins and ends, and for a transducer while a word goes on that was said already.
    """
    rows, wanted, rng = [], [], np.random.default_rng(7)
    for seed in range(12):
        sound, heard = labelled_sound(random_text(rng), seed)
        frames = features(sound)
        middles = ((np.arange(len(frames)) + 0.5) * len(sound) / len(frames)).astype(int)
        rows.append(frames)
        wanted.append(np.eye(len(TONES) + 1)[heard[middles]])
    seen = np.concatenate(rows)
    ones = np.ones((len(seen), 1))
    found, *_ = np.linalg.lstsq(np.concatenate([seen, ones], axis=1), np.concatenate(wanted), rcond=1e-3)
    weight = np.zeros((seen.shape[1], VOCABULARY), np.float32)
    bias = np.full(VOCABULARY, -1, np.float32)
    places = [VOCABULARY - 1 if first == 0 else 0, *range(first, first + len(TONES))]
    weight[:, places], bias[places] = found[:-1], found[-1]
    bias[places[0]] += silence
    return {"w": 10 * weight, "b": 10 * bias}


def save(
    path: Path,
    nodes: Sequence[Any],
    ins: Sequence[tuple[str, Any, int]],
    outs: Sequence[tuple[str, Any, int]],
    constants: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        nodes,
        "tones",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape, kind in ins],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape, kind in outs],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    onnx.save(model, path)


node = helper.make_node


def _kaldi(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(Fbank(80)(sound), np.float32)


def _nemo(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(nemo_mel(sound, 80)[0].T, np.float32)


SENSEVOICE = {
    "lfr_window_size": "7",
    "lfr_window_shift": "6",
    "neg_mean": ",".join(["-8"] * 560),
    "inv_stddev": ",".join(["0.2"] * 560),
    "lang_auto": "0",
    "without_itn": "15",
    "model_type": "sense_voice_ctc",
}


def _sensevoice(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    numbers = {
        name: tuple(float(n) for n in SENSEVOICE[name].split(",")) for name in ("neg_mean", "inv_stddev")
    }
    front = Front(
        "sensevoice", "x", 80, window=7, shift=6, mean=numbers["neg_mean"], scale=numbers["inv_stddev"]
    )
    return np.asarray(front.feeds(sound)["x"][0], np.float32)


def wav2vec2(folder: Path) -> None:
    """Samples in: the power at each tone's frequency, as a convolution with its sine and cosine."""
    at = 2 * np.pi * np.arange(400) / RATE
    filters = np.stack([wave_of(f * at) for f in TONES.values() for wave_of in (np.sin, np.cos)])[:, None]
    summed = np.zeros((6, VOCABULARY), np.float32)
    for number in range(3):
        summed[2 * number : 2 * number + 2, number + 1] = 1e-3
    bias = np.full(VOCABULARY, -9, np.float32)
    bias[0], bias[1:4] = 3, 0
    nodes = [
        node("Unsqueeze", ["input_values", "one"], ["channel"]),
        node("Conv", ["channel", "filters"], ["waves"], name="filters", strides=[160]),
        node("Mul", ["waves", "waves"], ["power"]),
        node("Transpose", ["power"], ["frames"], perm=[0, 2, 1]),
        node("MatMul", ["frames", "summed"], ["sums"], name="sums"),
        node("Add", ["sums", "bias"], ["logits"]),
    ]
    constants = {
        "filters": filters.astype(np.float32),
        "summed": summed,
        "bias": bias,
        "one": np.array([1], np.int64),
    }
    ins, outs = [("input_values", ["N", "S"], FLOAT)], [("logits", ["N", "T", VOCABULARY], FLOAT)]
    save(folder / "wav2vec2.onnx", nodes, ins, outs, constants, {"model_type": "wav2vec2"})
    write_tokens(folder, blank_is_last=False)


def nemo_ctc(folder: Path) -> None:
    nodes = [
        node("Transpose", ["audio_signal"], ["frames"], perm=[0, 2, 1]),
        node("MatMul", ["frames", "w"], ["heard"], name="heard"),
        node("Add", ["heard", "b"], ["logprobs"]),
    ]
    ins = [("audio_signal", ["N", 80, "T"], FLOAT), ("length", ["N"], INT64)]
    outs = [("logprobs", ["N", "T", VOCABULARY], FLOAT)]
    save(folder / "model.onnx", nodes, ins, outs, listening(_nemo, 0), {"model_type": "EncDecCTCModelBPE"})
    write_tokens(folder, blank_is_last=True)


def zipformer_ctc(folder: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["heard"], name="heard"),
        node("Add", ["heard", "b"], ["log_probs"]),
        node("Identity", ["x_lens"], ["log_probs_len"]),
    ]
    ins = [("x", ["N", "T", 80], FLOAT), ("x_lens", ["N"], INT64)]
    outs = [("log_probs", ["N", "T", VOCABULARY], FLOAT), ("log_probs_len", ["N"], INT64)]
    save(folder / "model.onnx", nodes, ins, outs, listening(_kaldi, 1), {"model_type": "zipformer2_ctc"})
    write_tokens(folder, blank_is_last=False)


def sensevoice(folder: Path) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["heard"], name="heard"),
        node("Add", ["heard", "b"], ["logits"]),
    ]
    ins = [
        ("x", ["N", "T", 560], FLOAT),
        *((name, ["N"], INT32) for name in ("x_length", "language", "text_norm")),
    ]
    outs = [("logits", ["N", "T", VOCABULARY], FLOAT)]
    save(folder / "model.onnx", nodes, ins, outs, listening(_sensevoice, 1), SENSEVOICE)
    write_tokens(folder, blank_is_last=False)


BUT_NOT = -30 * np.eye(VOCABULARY, dtype=np.float32)
"""What a word that was just said takes from its own score: no tone is heard twice."""


def zipformer_transducer(folder: Path) -> None:
    """The decoder looks at the last two tokens and takes the last one's score away."""
    taken = BUT_NOT.copy()
    taken[0] = 0  # the blank may follow anything
    save(
        folder / "zipformer-encoder.onnx",
        [
            node("MatMul", ["x", "w"], ["heard"], name="heard"),
            node("Add", ["heard", "b"], ["encoder_out"]),
            node("Identity", ["x_lens"], ["encoder_out_lens"]),
        ],
        [("x", ["N", "T", 80], FLOAT), ("x_lens", ["N"], INT64)],
        [("encoder_out", ["N", "T", VOCABULARY], FLOAT), ("encoder_out_lens", ["N"], INT64)],
        listening(_kaldi, 1, 0.6),
    )
    save(
        folder / "zipformer-decoder.onnx",
        [
            node("Gather", ["y", "last"], ["said"], axis=1),
            node("Gather", ["table", "said"], ["embedded"]),
            node("MatMul", ["embedded", "same"], ["decoder_out"], name="said"),
        ],
        [("y", ["N", 2], INT64)],
        [("decoder_out", ["N", VOCABULARY], FLOAT)],
        {"last": np.array(1, np.int64), "table": taken, "same": np.eye(VOCABULARY, dtype=np.float32)},
        {"context_size": "2"},
    )
    save(
        folder / "zipformer-joiner.onnx",
        [
            node("Add", ["encoder_out", "decoder_out"], ["both"]),
            node("MatMul", ["both", "same"], ["logit"], name="joined"),
        ],
        [("encoder_out", ["N", VOCABULARY], FLOAT), ("decoder_out", ["N", VOCABULARY], FLOAT)],
        [("logit", ["N", VOCABULARY], FLOAT)],
        {"same": np.eye(VOCABULARY, dtype=np.float32)},
    )
    write_tokens(folder, blank_is_last=False)


def parakeet_tdt(folder: Path) -> None:
    """Durations: a word stays where it is (0), the blank goes one step on."""
    taken = np.zeros((VOCABULARY, STATES), np.float32)
    taken[: VOCABULARY - 1, : VOCABULARY - 1] = BUT_NOT[:-1, :-1]
    durations = np.zeros((VOCABULARY, 5), np.float32)
    save(
        folder / "encoder.onnx",
        [
            node("Transpose", ["audio_signal"], ["frames"], perm=[0, 2, 1]),
            node("MatMul", ["frames", "w"], ["heard"], name="heard"),
            node("Add", ["heard", "b"], ["scored"]),
            node("Transpose", ["scored"], ["outputs"], perm=[0, 2, 1]),
            node("Identity", ["length"], ["encoded_lengths"]),
        ],
        [("audio_signal", ["N", 80, "T"], FLOAT), ("length", ["N"], INT64)],
        [("outputs", ["N", VOCABULARY, "T"], FLOAT), ("encoded_lengths", ["N"], INT64)],
        listening(_nemo, 0, 0.6),
    )
    states = [(name, [2, "N", STATES], FLOAT) for name in ("states.1", "onnx::Slice_3")]
    save(
        folder / "decoder.onnx",
        [
            node("Gather", ["table", "targets"], ["embedded"]),  # (N, 1, S)
            node("MatMul", ["embedded", "same"], ["said"], name="said"),
            node("Transpose", ["said"], ["outputs"], perm=[0, 2, 1]),
            node("Identity", ["target_length"], ["prednet_lengths"]),
            node("Identity", ["states.1"], ["states"]),
            node("Identity", ["onnx::Slice_3"], ["162"]),
        ],
        [("targets", ["N", "U"], INT32), ("target_length", ["N"], INT32), *states],
        [
            ("outputs", ["N", STATES, "U"], FLOAT),
            ("prednet_lengths", ["N"], INT32),
            ("states", [2, "N", STATES], FLOAT),
            ("162", [2, "N", STATES], FLOAT),
        ],
        {"table": taken, "same": np.eye(STATES, dtype=np.float32)},
    )
    widen = np.eye(STATES, VOCABULARY, dtype=np.float32)
    save(
        folder / "joiner.onnx",
        [
            node("Transpose", ["encoder_outputs"], ["sound"], perm=[0, 2, 1]),
            node("Transpose", ["decoder_outputs"], ["before"], perm=[0, 2, 1]),
            node("MatMul", ["before", "widen"], ["taken"], name="widened"),
            node("Add", ["sound", "taken"], ["tokens"]),
            node("MatMul", ["sound", "durations"], ["skips"], name="durations"),
            node("Add", ["skips", "first"], ["stay"]),
            node("Concat", ["tokens", "stay"], ["all"], axis=2),
            node("Unsqueeze", ["all", "one"], ["outputs"]),
        ],
        [("encoder_outputs", ["N", VOCABULARY, 1], FLOAT), ("decoder_outputs", ["N", STATES, 1], FLOAT)],
        [("outputs", ["N", 1, 1, VOCABULARY + 5], FLOAT)],
        {
            "widen": widen,
            "durations": durations,
            "first": np.array([1, 0, 0, 0, 0], np.float32),
            "one": np.array([1], np.int64),
        },
    )
    write_tokens(folder, blank_is_last=True)


LAYOUTS = {
    maker.__name__: maker
    for maker in (wav2vec2, nemo_ctc, zipformer_ctc, sensevoice, zipformer_transducer, parakeet_tdt)
}


def write_recognizer(folder: Path, layout: str) -> Path:
    """A folder of one of LAYOUTS."""
    folder.mkdir(parents=True)
    LAYOUTS[layout](folder)
    return folder
