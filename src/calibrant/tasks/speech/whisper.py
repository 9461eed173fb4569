"""Whisper: an encoder that runs once a clip, and a decoder that runs once a word, with a cache or without.

The layouts are sherpa-onnx's (stacked caches, which grow or are of a fixed length) and optimum's (a cache for
each layer, in a second file or in the same, or none).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrant.core.errors import ModelError
from calibrant.core.types import Feeds, FloatArray, ModelSignature, Session
from calibrant.tasks.media.spectra import whisper_mel
from calibrant.tasks.speech.types import Heard

RATE = 16_000
ENCODER, DECODER, WITH_PAST = "encoder", "decoder", "decoder_with_past"

Sessions = Mapping[str, Session]
Step = Callable[[NDArray[np.int64]], NDArray[Any]]
"""Takes the tokens that follow in each clip (N, n), and gives the scores of what comes next (N, V)."""

_TOKENS_A_SECOND, _TOKENS_AT_LEAST = 12, 24  # fast speech has 6
_MOST_TOKENS = 224


@dataclass(frozen=True)
class StackedCache:
    """sherpa-onnx's decoder: keys and values of all layers in two arrays, [layers, clips, length, width].

    names: of the tokens, the caches in and out, and the encoder's keys and values, in the decoder and in the
    encoder. offset: the input that says how long the cache is; None: the caches grow. length: of a fixed one.
    """

    tokens: str
    caches: tuple[tuple[str, str], ...]
    memory: tuple[tuple[str, str], ...]
    offset: str | None
    length: int

    def begin(self, sessions: Sessions, encoded: Feeds) -> Step:
        """Decoding from nothing."""
        memory = {name: encoded[given] for name, given in self.memory}
        layers, clips, _, width = next(iter(memory.values())).shape
        empty = np.zeros((layers, clips, self.length, width), np.float32)
        state: dict[str, NDArray[Any]] = {name: empty for name, _ in self.caches}
        seen = 0

        def step(tokens: NDArray[np.int64]) -> NDArray[Any]:
            nonlocal seen
            feeds = {**memory, **state, self.tokens: tokens}
            if self.offset:
                feeds[self.offset] = np.array([seen], np.int64)
            outputs = sessions[DECODER].run(feeds)
            state.update({name: outputs[out] for name, out in self.caches})
            seen += tokens.shape[1]
            return np.asarray(next(iter(outputs.values()))[:, -1])

        return step


@dataclass(frozen=True)
class LayerCaches:
    """optimum's decoder: ``present.X`` comes back as ``past_key_values.X``; without caches all is run again.

    with_past: the part that takes caches; None: there is none. past: its caches, by name, with a head's
    number and width. switch: the input of a merged decoder that says whether the caches are to be looked at.
    """

    tokens: str
    states: str
    with_past: str | None
    past: Mapping[str, tuple[int, int]]
    switch: str | None = None
    repeats_states: bool = False

    def begin(self, sessions: Sessions, encoded: Feeds) -> Step:
        """Decoding from nothing."""
        states = next(iter(encoded.values()))
        said: list[NDArray[np.int64]] = []
        cache: dict[str, NDArray[Any]] = {}

        def step(tokens: NDArray[np.int64]) -> NDArray[Any]:
            said.append(tokens)
            if self.with_past and cache:
                feeds: dict[str, NDArray[Any]] = {self.tokens: tokens, **cache}
                if self.repeats_states:
                    feeds[self.states] = states
                if self.switch:
                    feeds[self.switch] = np.array([True])
                outputs = sessions[self.with_past].run(feeds)
            else:
                feeds = {self.tokens: np.concatenate(said, axis=1), self.states: states}
                if self.switch:
                    feeds[self.switch] = np.array([False])
                    feeds |= {
                        name: np.zeros((len(tokens), heads, 0, width), np.float32)
                        for name, (heads, width) in self.past.items()
                    }
                outputs = sessions[DECODER].run(feeds)
            for name, values in outputs.items():
                past = name.replace("present", "past_key_values", 1)
                # A merged decoder gives the encoder's keys as empty where it was not asked for them.
                if past in self.past and values.size:
                    cache[past] = np.array(values)
            return np.asarray(next(iter(outputs.values()))[:, -1])

        return step


@dataclass(frozen=True)
class Whisper:
    """A model, and how it is asked. bins, samples: of its input. allowed: token numbers below this are text.

    prompt: what decoding begins with. end: the token that ends it.
    """

    input: str
    bins: int
    samples: int
    decoder: StackedCache | LayerCaches
    prompt: tuple[int, ...]
    end: int
    allowed: int

    def hear(self, sessions: Sessions, values: FloatArray, follow: Heard | None = None) -> Heard:
        """Decode one clip greedily. follow: what the float model heard, along which it is led as well."""
        encoded = self._encoded(sessions, [values])
        (heard,) = self._decoded(self.decoder.begin(sessions, encoded), [values])
        return heard if follow is None else self._led(heard, self.decoder.begin(sessions, encoded), follow)

    def hear_all(self, sessions: Sessions, sounds: Sequence[FloatArray]) -> list[Heard]:
        """Decode clips side by side, greedily: one that has ended waits for the others."""
        return self._decoded(self.decoder.begin(sessions, self._encoded(sessions, sounds)), sounds)

    def _encoded(self, sessions: Sessions, sounds: Sequence[FloatArray]) -> Feeds:
        mel = np.concatenate([whisper_mel(values, self.bins, self.samples) for values in sounds])
        return sessions[ENCODER].run({self.input: mel})

    def _decoded(self, step: Step, sounds: Sequence[FloatArray]) -> list[Heard]:
        seconds = [len(values) / RATE for values in sounds]
        most = [min(_MOST_TOKENS, _TOKENS_AT_LEAST + int(_TOKENS_A_SECOND * each)) for each in seconds]
        found: list[list[int]] = [[] for _ in sounds]
        heard: dict[int, Heard] = {}
        best = self._best(step(np.array([self.prompt] * len(sounds), np.int64)))
        while True:
            for clip in range(len(sounds)):
                if clip not in heard and (best[clip] == self.end or len(found[clip]) >= most[clip]):
                    heard[clip] = Heard(tuple(found[clip]), is_runaway=best[clip] != self.end)
            if len(heard) == len(sounds):
                return [heard[clip] for clip in range(len(sounds))]
            for clip, token in enumerate(best):
                found[clip].append(token)
            best = self._best(step(np.array(best, np.int64)[:, None]))

    def _led(self, heard: Heard, step: Step, follow: Heard) -> Heard:
        wanted = [*follow.tokens, *(() if follow.is_runaway else (self.end,))]
        given: list[Sequence[int]] = [self.prompt, *([token] for token in follow.tokens)]
        same = sum(
            self._best(step(np.array([tokens], np.int64)))[0] == next_
            for tokens, next_ in zip(given, wanted, strict=False)
        )
        return Heard(heard.tokens, heard.is_runaway, same, len(wanted))

    def _best(self, scores: NDArray[Any]) -> list[int]:
        """In each clip the strongest of the tokens that are text, or the end; scores: (N, V)."""
        text = scores[:, : self.allowed].argmax(axis=1)
        strongest = scores[np.arange(len(scores)), text]
        return [int(token) for token in np.where(scores[:, self.end] >= strongest, self.end, text)]


def takes_several(signatures: Mapping[str, ModelSignature]) -> bool:
    """Whether the files leave open how many clips they take side by side."""
    places = {4: 1} if "encoder_hidden_states" not in _names(signatures[DECODER]) else {}
    return all(
        info.shape[places.get(len(info.shape), 0)] is None
        for signature in signatures.values()
        for info in signature.inputs
        if len(info.shape) > 1  # an offset or a switch is told once
    )


def _names(signature: ModelSignature) -> set[str]:
    return {info.name for info in signature.inputs}


def decoder_of(signatures: Mapping[str, ModelSignature]) -> StackedCache | LayerCaches | None:
    """How a decoder is run, by its inputs' names; None: it is none of Whisper's.

    Raises ModelError where it has caches whose names do not fit.
    """
    inputs = {info.name: info for info in signatures[DECODER].inputs}
    if "encoder_hidden_states" in inputs:
        return _layer_caches(signatures)
    crossing = [name for name in inputs if "cross" in name]
    own = [name for name in inputs if "self" in name]
    tokens = [name for name in inputs if name in ("tokens", "input_ids")]
    if len(crossing) != 2 or len(own) != 2 or not tokens:
        return None
    outputs = [info.name for info in signatures[DECODER].outputs[1:]]
    memory = [info.name for info in signatures[ENCODER].outputs]
    if len(outputs) != 2 or len(memory) != 2:
        raise ModelError(
            f"the decoder takes keys and values in {', '.join(own + crossing)}, and the encoder gives "
            f"{', '.join(memory)} and the decoder {', '.join(outputs) or 'none'}; export both together"
        )
    offset = next((name for name in inputs if "offset" in name), None)
    length = inputs[own[0]].shape[2] if len(inputs[own[0]].shape) == 4 else None
    return StackedCache(
        tokens[0],
        tuple(zip(own, outputs, strict=True)),
        tuple(zip(crossing, memory, strict=True)),
        offset,
        length or (448 if offset else 0),
    )


def _layer_caches(signatures: Mapping[str, ModelSignature]) -> LayerCaches:
    part = WITH_PAST if WITH_PAST in signatures else DECODER
    inputs = {info.name: info for info in signatures[part].inputs}
    past = {
        name: (info.shape[1] or 1, info.shape[3] or 1)
        for name, info in inputs.items()
        if name.startswith("past_key_values") and len(info.shape) == 4
    }
    switch = "use_cache_branch" if "use_cache_branch" in inputs else None
    return LayerCaches(
        "input_ids",
        "encoder_hidden_states",
        part if past else None,
        past,
        switch,
        "encoder_hidden_states" in inputs,
    )
