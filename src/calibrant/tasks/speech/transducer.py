"""Transducers: an encoder, a decoder of what was said, and a joiner of both, greedily.

Layouts: Zipformer's, whose decoder looks at the last tokens only (k2-fsa/sherpa-onnx), and NeMo's, whose
decoder has a state and whose joiner may also say how many steps to go on (Parakeet TDT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrant.core.types import Feeds, FloatArray, ModelSignature, Session
from calibrant.tasks.speech.ctc import Front
from calibrant.tasks.speech.types import Heard

ENCODER, DECODER, JOINER = "encoder", "decoder", "joiner"
_MOST_A_STEP = 10  # NeMo's max_symbols

Sessions = Mapping[str, Session]


@dataclass(frozen=True)
class Stateless:
    """Zipformer's: one token a step at most. context: so many tokens the decoder looks at."""

    front: Front
    decoder: str
    joiner: tuple[str, str]
    context: int
    blank: int

    def hear(self, sessions: Sessions, values: FloatArray, follow: Heard | None = None) -> Heard:
        """Decode one clip greedily."""
        del follow
        encoded = _first(sessions[ENCODER].run(self.front.feeds(values)))[0]  # (T, C)
        found = [-1] * (self.context - 1) + [self.blank]
        state = self._state(sessions, found)
        for step in encoded:
            fed = {self.joiner[0]: step[None], self.joiner[1]: state}
            token = int(np.argmax(_first(sessions[JOINER].run(fed))))
            if token != self.blank:
                found.append(token)
                state = self._state(sessions, found)
        return Heard(tuple(found[self.context :]))

    def _state(self, sessions: Sessions, found: Sequence[int]) -> NDArray[np.generic]:
        # Where nothing was said yet icefall feeds -1, of which the decoder takes no embedding.
        tokens = np.array([found[-self.context :]], np.int64)
        return np.array(_first(sessions[DECODER].run({self.decoder: tokens})))


@dataclass(frozen=True)
class Stateful:
    """NeMo's: tokens as long as the joiner says some, or steps by the durations that it says.

    decoder: the names of tokens, their count, and the states in. vocabulary: scores of tokens, with the
    blank as the last; what comes behind are scores of durations. states: their shape.
    """

    front: Front
    decoder: tuple[str, str | None, tuple[str, ...]]
    decoder_outputs: tuple[str, tuple[str, ...]]
    joiner: tuple[str, str]
    vocabulary: int
    states: tuple[int, int]
    tokens: str = "int32"

    @property
    def blank(self) -> int:
        """The last of the vocabulary."""
        return self.vocabulary - 1

    def hear(self, sessions: Sessions, values: FloatArray, follow: Heard | None = None) -> Heard:
        """Decode one clip greedily."""
        del follow
        encoded = _first(sessions[ENCODER].run(self.front.feeds(values)))  # (1, C, T)
        layers, width = self.states
        empty = tuple(np.zeros((layers, 1, width), np.float32) for _ in self.decoder[2])
        state, states = self._run(sessions, self.blank, empty)
        found: list[int] = []
        at, here, runs_on = 0, 0, False
        while at < encoded.shape[2]:
            fed = {self.joiner[0]: encoded[:, :, at : at + 1], self.joiner[1]: state}
            scores = _first(sessions[JOINER].run(fed)).reshape(-1)
            token, skip = int(scores[: self.vocabulary].argmax()), 0
            if len(scores) > self.vocabulary:
                skip = int(scores[self.vocabulary :].argmax())
            if token != self.blank:
                found.append(token)
                state, states = self._run(sessions, token, states)
                here += 1
            if skip == 0 and (token == self.blank or here >= _MOST_A_STEP):
                runs_on |= here >= _MOST_A_STEP
                skip = 1
            at, here = at + skip, 0 if skip else here
        return Heard(tuple(found), runs_on)

    def _run(
        self, sessions: Sessions, token: int, states: Sequence[NDArray[np.generic]]
    ) -> tuple[NDArray[np.generic], tuple[NDArray[np.generic], ...]]:
        tokens, count, names = self.decoder
        feeds: dict[str, NDArray[np.generic]] = {tokens: np.array([[token]], self.tokens)}
        if count:
            feeds[count] = np.array([1], self.tokens)
        outputs = sessions[DECODER].run({**feeds, **dict(zip(names, states, strict=True))})
        output, given = self.decoder_outputs
        return np.array(outputs[output]), tuple(np.array(outputs[name]) for name in given)


def transducer_of(
    signatures: Mapping[str, ModelSignature], front: Front, blank: int
) -> Stateless | Stateful | None:
    """How a decoder and a joiner are run, by their inputs; None: they are no transducer's that is known."""
    decoder, joiner = signatures[DECODER], signatures[JOINER]
    tokens = [info for info in decoder.inputs if info.dtype.startswith("int")]
    states = [info for info in decoder.inputs if info.dtype.startswith("float")]
    if len(joiner.inputs) != 2 or not tokens:
        return None
    names = (joiner.inputs[0].name, joiner.inputs[1].name)
    if not states and len(tokens) == 1 and len(tokens[0].shape) == 2:
        metadata = decoder.metadata
        context = tokens[0].shape[1] or int(metadata.get("context_size", 2))
        return Stateless(front, tokens[0].name, names, context, blank)
    if not states:
        return None
    layers, _, width = (dim or 1 for dim in states[0].shape)
    given = [info.name for info in decoder.outputs if info.dtype.startswith("float")]
    return Stateful(
        front,
        (tokens[0].name, tokens[1].name if len(tokens) > 1 else None, tuple(info.name for info in states)),
        (given[0], tuple(given[1 : 1 + len(states)])),
        names,
        blank + 1,
        (layers, width),
        tokens[0].dtype,
    )


def _first(outputs: Feeds) -> NDArray[np.generic]:
    return np.asarray(next(iter(outputs.values())))
